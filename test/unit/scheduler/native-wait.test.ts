import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { namespaceTag, NATIVE_ENDPOINT, NATIVE_WAIT } from '../../../lib/scheduler/index.js';
import { turns } from '../../support/manual-clock.js';
import { callOf, Deferred, exit, failed, poll, read, resultsOf, text, World } from './world.js';
import { Status } from '../../../lib/errors/index.js';
import type { RunAnswer } from '../../../lib/protocol/index.js';

describe('a durable wait for another call', () => {
  let world: World;
  let target: string;
  let answer: Deferred<RunAnswer>;
  beforeEach(async () => {
    world = await World.started();
    answer = new Deferred();
    world.define('target', () => answer.promise);
    world.define('f', (request) => {
      const [result] = resultsOf(request) ?? [];
      if (result) return exit(read(result.output) ?? `${result.error?.type}: ${result.error?.message}`);
      const wait = { id: 1, function: NATIVE_WAIT, endpoint: NATIVE_ENDPOINT };
      return poll({ calls: [callOf({ ...wait, input: text(target) })] });
    });
    target = await world.dispatch('target');
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const resultOf = async (id: string) => read((await world.scheduler.wait(id)).result.output);

  it('ends as that ends', async () => {
    const id = await world.dispatch('f');
    await turns(20);
    expect(await world.scheduler.get(id)).toMatchObject({ state: 'suspended', waitsFor: 'results' });
    answer.resolve(exit('done'));
    expect(await resultOf(id)).toBe('done');
    expect(world.requests.map((request) => request.function)).toEqual(['target', 'f', 'f']);
  });

  it('ends as that has ended long ago', async () => {
    answer.resolve(failed(Status.INVALID_ARGUMENT, 'no'));
    await world.scheduler.wait(target);
    expect(await resultOf(await world.dispatch('f'))).toBe('Error: no');
    const wait = (await world.scheduler.list({ function: NATIVE_WAIT })).calls[0];
    expect(wait).toMatchObject({ state: 'failed', status: Status.INVALID_ARGUMENT });
  });

  it('fails when there is no such call', async () => {
    target = 'x';
    expect(await resultOf(await world.dispatch('f'))).toBe("NotFoundError: there is no call 'x' to wait for");
  });

  it('finds no call of another namespace, unfinished or finished', async () => {
    const id = await world.dispatch('f', { namespace: namespaceTag('orders') });
    expect(await resultOf(id)).toBe(`NotFoundError: there is no call '${target}' to wait for`);
    answer.resolve(exit('done'));
    await world.scheduler.wait(target);
    const later = await world.dispatch('f', { namespace: namespaceTag('orders') });
    expect(await resultOf(later)).toBe(`NotFoundError: there is no call '${target}' to wait for`);
  });

  it('finds a call of its own namespace', async () => {
    target = await world.dispatch('target', { namespace: namespaceTag('orders') });
    answer.resolve(exit('done'));
    expect(await resultOf(await world.dispatch('f', { namespace: namespaceTag('orders') }))).toBe('done');
  });

  it('goes on in another process', async () => {
    const id = await world.dispatch('f');
    await turns(20);
    await world.restart();
    answer.resolve(exit('done'));
    await turns(20);
    expect(await resultOf(id)).toBe('done');
  });

  it('can be cancelled', async () => {
    const id = await world.dispatch('f');
    await turns(20);
    const [wait] = (await world.scheduler.list({ function: NATIVE_WAIT })).calls;
    await world.scheduler.cancel(wait?.id ?? '');
    expect(await resultOf(id)).toMatch(/^Cancelled/);
    answer.resolve(exit('done'));
    await world.idle();
  });

  it('survives a commit that fails', async () => {
    const id = await world.dispatch('f');
    await turns(20);
    let failures = 0;
    world.beforeCommit = () => {
      if (++failures === 2) throw new Error('the disk is full');
    };
    answer.resolve(exit('done'));
    await turns(20);
    await world.advance(1_000);
    expect(await resultOf(id)).toBe('done');
  });
});
