import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import { turns } from '../../support/manual-clock.js';
import { callOf, exit, failed, LOCAL, poll, World } from './world.js';

describe('looking at calls', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started({ concurrency: 1 });
    world.define('never', () => new Promise(() => undefined));
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  it('shows what they do and what they wait for', async () => {
    const now = world.clock.now();
    world.define('timer', () => poll({ maxWait: 60_000 }));
    world.define('joiner', () => poll({ calls: [callOf({ function: 'slow', endpoint: LOCAL })] }));
    world.define('slow', () => poll({ maxWait: 60_000 }));
    world.define('backoff', () => failed(Status.THROTTLED));
    world.define('good', () => exit());
    await world.dispatch('timer', { version: '7', expiration: 1e6 });
    await world.dispatch('joiner');
    await world.idle();
    await world.dispatch('later', { dueAt: now + 60_000 });
    await world.dispatch('good');
    await world.idle();
    world.random = () => 0.999;
    await world.dispatch('backoff', { id: '1'.repeat(32) });
    await world.idle();
    world.random = () => 0.5;
    await world.dispatch('never', { id: '2'.repeat(32) });
    await world.dispatch('queued', { id: '3'.repeat(32) });
    await turns(10);
    const { calls } = await world.scheduler.list();
    expect(calls.map((call) => [call.function, call.state, call.waitsFor, call.dueAt && call.dueAt - now])).toEqual([
      ['queued', 'pending', 'turn', 0],
      ['never', 'running', undefined, undefined],
      ['backoff', 'pending', 'time', 100],
      ['good', 'succeeded', undefined, undefined],
      ['later', 'pending', 'time', 60_000],
      ['slow', 'suspended', 'time', 60_000],
      ['joiner', 'suspended', 'results', undefined],
      ['timer', 'suspended', 'time', 60_000],
    ]);
    expect(calls.at(-1)).toMatchObject({ version: '7', createdAt: now, expiresAt: now + 1e6, parentId: undefined });
    expect(calls[3]).toMatchObject({ status: Status.OK, finishedAt: now });
    expect(await world.scheduler.get(calls[0]?.id ?? '')).toEqual(calls[0]);
    expect(await world.scheduler.get('f'.repeat(32))).toBeUndefined();
  });

  it('gives pages', async () => {
    for (let index = 0; index < 5; index++) await world.dispatch('later', { dueAt: world.clock.now() + 1e6 });
    const first = await world.scheduler.list({ function: 'later' }, { limit: 3 });
    const second = await world.scheduler.list({ function: 'later' }, { limit: 3, after: first.next });
    expect([first.calls.length, second.calls.length, second.next]).toEqual([3, 2, undefined]);
  });
});

describe('a scheduler that runs nothing', () => {
  it('takes calls, shows and cancels them', async () => {
    const world = await World.started({ run: false });
    world.define('f', () => exit());
    const ids = [await world.dispatch('f'), await world.dispatch('f', { expiration: 1_000 })];
    await world.advance(1e9);
    expect((await world.scheduler.get(ids[0] ?? ''))?.state).toBe('pending');
    expect(await world.scheduler.cancel(ids[1] ?? '')).toBe(true);
    expect((await world.scheduler.wait(ids[1] ?? '')).state).toBe('cancelled');
    await world.restart({ run: true });
    expect((await world.scheduler.wait(ids[0] ?? '')).state).toBe('succeeded');
    expect(world.requests).toHaveLength(1);
    await world.scheduler.stop();
  });
});
