import { describe, expect, it } from '@jest/globals';
import type { RunAnswer } from '../../../lib/protocol/index.js';
import { turns } from '../../support/manual-clock.js';
import { callOf, Deferred, exit, joins, LOCAL, poll, World } from './world.js';

/** Runs that a test lets end. */
function gate(world: World, name: string) {
  const open: Deferred<RunAnswer>[] = [];
  let most = 0;
  let running = 0;
  world.define(name, async () => {
    most = Math.max(most, ++running);
    const answer = new Deferred<RunAnswer>();
    open.push(answer);
    const given = await answer.promise;
    running -= 1;
    return given;
  });
  return {
    count: () => open.length,
    most: () => most,
    release: async () => {
      open.shift()?.resolve(exit());
      await turns(10);
    },
  };
}

describe('limits', () => {
  it('hold for the runs of the scheduler', async () => {
    const world = await World.started({ concurrency: 3 });
    const runs = gate(world, 'f');
    const ids = await Promise.all(Array.from({ length: 8 }, () => world.dispatch('f')));
    await turns(10);
    expect(runs.count()).toBe(3);
    for (let index = 0; index < 8; index++) await runs.release();
    await Promise.all(ids.map((id) => world.scheduler.wait(id)));
    expect(runs.most()).toBe(3);
    await world.scheduler.stop();
  });

  it('hold for the runs of a function, which hold up no others', async () => {
    const world = await World.started();
    world.scheduler.setFunctions(LOCAL, [{ name: 'limited', concurrency: 2 }]);
    const limited = gate(world, 'limited');
    world.define('free', () => exit());
    for (let index = 0; index < 5; index++) await world.dispatch('limited');
    const { state } = await world.run('free');
    expect(state).toBe('succeeded');
    expect(limited.count()).toBe(2);
    for (let index = 0; index < 5; index++) await limited.release();
    await world.idle();
    expect(limited.most()).toBe(2);
    expect((await world.scheduler.list({ state: 'succeeded' })).calls).toHaveLength(6);
    await world.scheduler.stop();
  });

  it('of a function can be changed', async () => {
    const world = await World.started();
    world.scheduler.setFunctions(LOCAL, [{ name: 'f', concurrency: 1 }]);
    const runs = gate(world, 'f');
    for (let index = 0; index < 3; index++) await world.dispatch('f');
    await turns(10);
    expect(runs.count()).toBe(1);
    world.scheduler.setFunctions(LOCAL, [{ name: 'f' }]);
    await turns(10);
    expect(runs.count()).toBe(3);
    await world.scheduler.stop({ grace: 0 });
  });

  it('leave the event loop to others between so many starts', async () => {
    const world = await World.started({ startsPerTurn: 10 });
    world.define('f', () => exit());
    const calls = Array.from({ length: 100 }, () => ({ endpoint: LOCAL, function: 'f' }));
    await world.scheduler.dispatch(calls);
    const started: number[] = [];
    while (world.requests.length < 100) {
      started.push(world.requests.length);
      await turns(1);
    }
    const steps = started.slice(1).map((count, index) => count - (started[index] ?? 0));
    expect(Math.max(...steps)).toBeLessThanOrEqual(20);
    await world.idle();
    await world.scheduler.stop();
  });

  it('do not keep a call from its turn: first in, first out', async () => {
    const world = await World.started({ concurrency: 2 });
    world.define('f', () => turns(1).then(() => exit()));
    const ids = await world.scheduler.dispatch(Array.from({ length: 20 }, () => ({ endpoint: LOCAL, function: 'f' })));
    await world.idle();
    expect(world.requests.map((request) => request.dispatchId)).toEqual(ids);
    await world.scheduler.stop();
  });
});

describe('many calls', () => {
  it('fan out and in', async () => {
    const count = 5_000;
    const world = await World.started();
    world.define('child', () => exit('1'));
    let seen = 0;
    world.define('parent', (request) => {
      if (request.directive.case === 'pollResult') seen += request.directive.value.results.length;
      if (seen === count) return exit();
      const calls = seen === 0 ? Array.from({ length: count }, (_, id) => callOf({ id, function: 'child' })) : [];
      return poll({ calls, minResults: 1_000 });
    });
    expect((await world.run('parent')).state).toBe('succeeded');
    expect(seen).toBe(count);
    await world.scheduler.stop();
  });

  it('sleep, with one alarm for all of them', async () => {
    const world = await World.started();
    world.define(
      'sleeper',
      joins(() => [], { maxWait: 3_600_000 }),
    );
    await world.scheduler.dispatch(Array.from({ length: 5_000 }, () => ({ endpoint: LOCAL, function: 'sleeper' })));
    await world.idle();
    expect(world.clock.pending).toBe(1);
    await world.advance(3_600_000);
    expect((await world.scheduler.list({ state: 'suspended' })).calls).toEqual([]);
    await world.scheduler.stop();
  });

  it('cause no work while nothing happens', async () => {
    const world = await World.started();
    world.define(
      'sleeper',
      joins(() => [], { maxWait: 3_600_000 }),
    );
    await world.dispatch('sleeper');
    await world.idle();
    const commits = world.commits.length;
    let alarms = 0;
    await world.clock.advance(3_500_000, async () => void alarms++);
    // Those of the deadlines that were never needed, and of the purge, every five minutes.
    expect(alarms).toBeLessThan(20);
    expect(world.commits).toHaveLength(commits);
    await world.scheduler.stop();
  });
});
