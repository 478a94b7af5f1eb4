import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NotFoundError } from '../../../lib/errors/index.js';
import type { RunAnswer } from '../../../lib/protocol/index.js';
import { turns } from '../../support/manual-clock.js';
import { callOf, Deferred, exit, failed, joins, LOCAL, poll, World } from './world.js';
import { Status } from '../../../lib/errors/index.js';

const DAY = 86_400_000;

describe('finished calls', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started({ purgeInterval: DAY / 24 });
    world.define('child', () => exit());
    world.define(
      'parent',
      joins(() => [callOf({ function: 'child' })]),
    );
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  it('are kept for a week, and then removed with their tree', async () => {
    const { id } = await world.run('parent');
    await world.advance(7 * DAY - 1);
    expect((await world.scheduler.list()).calls).toHaveLength(2);
    await world.advance(DAY / 24 + 1);
    expect((await world.scheduler.list()).calls).toEqual([]);
    await expect(world.scheduler.wait(id)).rejects.toThrow(NotFoundError);
    await expect(world.scheduler.retry(id)).rejects.toThrow(NotFoundError);
  });

  it('are removed in slices', async () => {
    await world.scheduler.dispatch(Array.from({ length: 1_250 }, () => ({ endpoint: LOCAL, function: 'child' })));
    await world.idle();
    await world.advance(8 * DAY);
    const purges = world.commits.flat().flatMap((mutation) => (mutation.type === 'purge' ? mutation.ids.length : []));
    expect(purges).toEqual([500, 500, 250]);
  });

  it('stay while their root has not finished', async () => {
    world.define('parent', (request) =>
      request.directive.case === 'input'
        ? poll({ calls: [callOf({ function: 'child' })] })
        : poll({ maxWait: 30 * DAY }),
    );
    await world.dispatch('parent');
    await world.advance(20 * DAY);
    expect((await world.scheduler.list()).calls).toHaveLength(2);
  });

  it('are removed together, also when one of them has only just finished', async () => {
    await world.restart({ purgeInterval: 1_000, retention: 5_000 });
    const swept = new Deferred<RunAnswer>();
    world.define('child', (_request, { context }) =>
      context?.cancelled ? swept.promise : poll({ maxWait: 1e9, appendTo: context?.position }),
    );
    world.define('parent', (request) =>
      request.directive.case === 'input' ? poll({ calls: [callOf({ function: 'child' })], maxWait: 1 }) : exit(),
    );
    const id = await world.dispatch('parent');
    await world.clock.advance(1_000, turns);
    await world.scheduler.wait(id);
    await world.clock.advance(6_000, turns);
    const heard = new Deferred<void>();
    const commit = world.store.commit.bind(world.store);
    world.store.commit = (mutations) => commit(mutations).then(() => heard.promise);
    swept.resolve(exit());
    await turns();
    await world.clock.advance(1_000, turns);
    world.store.commit = commit;
    heard.resolve();
    await world.advance(10_000);
    expect((await world.scheduler.list()).calls).toEqual([]);
  });

  it('stay when they are taken up again', async () => {
    world.define('f', () =>
      world.requests.length === 1 ? failed(Status.PERMANENT_ERROR) : poll({ maxWait: 30 * DAY }),
    );
    const { id } = await world.run('f');
    await world.advance(6 * DAY);
    await world.scheduler.retry(id);
    await world.advance(20 * DAY);
    expect((await world.scheduler.get(id))?.state).toBe('suspended');
  });

  it('are unknown to a retry that found them before they were removed, and hears of it after', async () => {
    world.define('fails', () => failed(Status.PERMANENT_ERROR));
    const { id } = await world.run('fails');
    const get = world.store.get.bind(world.store);
    const removed = new Deferred<void>();
    world.store.get = async (asked) => {
      const row = await get(asked);
      await removed.promise;
      return row;
    };
    const retried = expect(world.scheduler.retry(id)).rejects.toThrow(NotFoundError);
    await world.advance(8 * DAY);
    world.store.get = get;
    removed.resolve();
    await retried;
  });

  it('are removed later when the store could not do it', async () => {
    await world.run('child');
    world.beforeCommit = () => {
      throw new Error('the disk is full');
    };
    await world.advance(7 * DAY + DAY / 24);
    world.beforeCommit = undefined;
    await world.advance(DAY);
    expect((await world.scheduler.list()).calls).toEqual([]);
    expect(world.log.lines.join('\n')).toMatch(/Old calls could not be removed: the disk is full/);
  });

  it('are kept for good where that is asked for', async () => {
    await world.restart({ retention: Infinity });
    await world.run('child');
    await world.advance(400 * DAY);
    expect((await world.scheduler.list()).calls).toHaveLength(1);
    expect(world.clock.pending).toBeLessThanOrEqual(1);
  });
});
