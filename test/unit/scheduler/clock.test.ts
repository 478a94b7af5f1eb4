import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { RunAnswer } from '../../../lib/protocol/index.js';
import { turns } from '../../support/manual-clock.js';
import { Deferred, exit, World } from './world.js';

describe('a clock that is set while calls wait for a slot', () => {
  let world: World;
  let busy: Deferred<RunAnswer>;
  beforeEach(async () => {
    world = await World.started({ concurrency: 1 });
    busy = new Deferred<RunAnswer>();
    world.define('busy', () => busy.promise);
    world.define('f', () => exit('done'));
    await world.dispatch('busy');
    await turns();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  it('back: they start when their time has come again', async () => {
    const id = await world.dispatch('f', { dueAt: world.clock.now() + 1_000 });
    await world.clock.advance(1_000, turns);
    world.clock.set(world.clock.now() - 500);
    busy.resolve(exit());
    await turns();
    expect(world.requestsOf('f')).toHaveLength(0);
    await world.advance(500);
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
  });

  it('forward: those that expired meanwhile do not start', async () => {
    const id = await world.dispatch('f', { expiration: 1_000 });
    world.clock.set(world.clock.now() + 2_000);
    busy.resolve(exit());
    expect((await world.scheduler.wait(id)).result.error?.message).toMatch(/^expired/);
    expect(world.requestsOf('f')).toHaveLength(0);
  });
});
