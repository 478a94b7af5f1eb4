import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import { turns } from '../../support/manual-clock.js';
import { callOf, exit, joins, LOCAL, poll, read, resultsOf, World } from './world.js';

describe('a call that expires', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const expectExpired = async (id: string) => {
    const { state, status, result } = await world.scheduler.wait(id);
    expect([state, status, result.error?.type]).toEqual(['failed', Status.TIMEOUT, 'TimeoutError']);
    expect(result.error?.message).toMatch(/^expired.*1000 ms/);
  };

  it('never runs when that is before its time', async () => {
    world.define('f', () => exit());
    const id = await world.dispatch('f', { expiration: 1_000, dueAt: world.clock.now() + 2_000 });
    await world.advance(5_000);
    await expectExpired(id);
    expect(world.requests).toHaveLength(0);
  });

  it('is aborted while it runs', async () => {
    let signal: AbortSignal | undefined;
    world.define('f', (_request, options) => {
      signal = options.signal;
      return new Promise(() => undefined);
    });
    const id = await world.dispatch('f', { expiration: 1_000 });
    await turns(10);
    await world.clock.advance(1_000, turns);
    await expectExpired(id);
    expect(signal?.aborted).toBe(true);
  });

  it('ends while it is suspended, with its children', async () => {
    world.define('child', () => poll({ maxWait: 1e9 }));
    world.define(
      'f',
      joins(() => [callOf({ function: 'child' })]),
    );
    const id = await world.dispatch('f', { expiration: 1_000 });
    await world.advance(1_000);
    await expectExpired(id);
    const child = world.requestsOf('child')[0]?.dispatchId ?? '';
    expect((await world.scheduler.get(child))?.cancelling).toBe(true);
  });

  it('takes all that it called with it, also where that has a longer time of its own', async () => {
    const now = world.clock.now();
    world.define('grandchild', () => poll({ maxWait: 1e9 }));
    world.define(
      'child',
      joins(() => [callOf({ function: 'grandchild' })]),
    );
    world.define('f', (request) => {
      const calls = [5_000, 400].map((expiration, id) => callOf({ id, function: 'child', expiration }));
      return resultsOf(request) ? poll({ maxWait: 1e9 }) : poll({ calls });
    });
    const id = await world.dispatch('f', { expiration: 1_000 });
    await world.idle();
    const { calls } = await world.scheduler.list({ rootId: id });
    const times = calls.map((call) => [call.function, (call.expiresAt ?? 0) - now]);
    expect(times.sort()).toEqual([
      ['child', 1_000],
      ['child', 400],
      ['f', 1_000],
      ['grandchild', 1_000],
      ['grandchild', 400],
    ]);
    await world.advance(1_000);
    await expectExpired(id);
    const unfinished = async () => (await world.scheduler.list({ state: ['pending', 'suspended'] })).calls;
    expect((await unfinished()).map((call) => call.cancelling)).toEqual([true, true]);
    await world.advance(60_000);
    expect(await unfinished()).toEqual([]);
  });

  it('takes those with it that it calls at the very end', async () => {
    world.scheduler.setFunctions(LOCAL, [{ name: 'careful', startAfterCommit: true }]);
    world.define('child', () => exit());
    world.define('f', () => {
      world.clock.set(world.clock.now() + 2_000);
      return poll({ calls: ['child', 'careful'].map((name, id) => callOf({ id, function: name })) });
    });
    const id = await world.dispatch('f', { expiration: 1_000 });
    await expectExpired(id);
    await world.idle();
    const { calls } = await world.scheduler.list({ parentId: id });
    expect(calls.map(({ state }) => state)).toEqual(['cancelled', 'cancelled']);
    expect(world.requests).toHaveLength(1);
  });

  it('gives its parent a result', async () => {
    world.define('child', () => poll({ maxWait: 1e9 }));
    world.define(
      'f',
      joins(() => [callOf({ function: 'child', expiration: 1_000 })]),
    );
    const id = await world.dispatch('f');
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('TimeoutError');
  });

  it('expires although no process was there at the time', async () => {
    world.define('f', () => poll({ maxWait: 1e9 }));
    const id = await world.dispatch('f', { expiration: 1_000 });
    await world.idle();
    await world.scheduler.stop();
    await world.clock.advance(5_000);
    world.scheduler = world.create();
    await world.scheduler.start();
    await expectExpired(id);
  });

  it('does not when it has finished', async () => {
    world.define('f', (request) => (resultsOf(request) ? exit('done') : poll({ maxWait: 10 })));
    const id = await world.dispatch('f', { expiration: 1_000 });
    await world.advance(5_000);
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
    expect(world.clock.pending).toBeLessThanOrEqual(1);
  });
});
