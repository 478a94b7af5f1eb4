import { describe, expect, it } from '@jest/globals';
import { UNPLACED } from '../../lib/scheduler/store.js';
import { until } from '../support/fleet.js';
import { TestStores } from '../support/test-stores.js';
import { finished, idOf, progressOf, rootCall } from './calls.js';
import { branchCall, describeShared, EVERYTHING } from './shared.contract.js';

const stores = TestStores.use();
const open = () => stores.open();

describeShared('a PostgreSQL store', stores);

describe('processes that share a PostgreSQL store', () => {
  it('leave no result behind when a call and a branch of it end at the same moment', async () => {
    const [first, second] = [await open(), await open()];
    const [root, child, other] = [idOf(1), idOf(2), idOf(3)];
    await first.commit([rootCall(root), branchCall(child, root), branchCall(other, root)]);
    await second.claim(2, EVERYTHING);
    const unplaced = () =>
      stores.database.query(`SELECT id FROM ${stores.schema}.calls WHERE inbox < 0 AND finished_at IS NOT NULL`);
    // The commit that ends the root has looked for results when it is held up, and is not there to be seen.
    await stores.database.query('BEGIN');
    await stores.database.query(`LOCK TABLE ${stores.schema}.cancellations IN SHARE MODE`);
    const ending = first.commit([finished(root)], { placed: [], cancelled: [other], deaf: [root], released: [] });
    await until(async () => (await stores.database.query('SELECT FROM pg_locks WHERE NOT granted')).length > 0);
    await second.commit([finished(child, { inbox: UNPLACED })]);
    await stores.database.query('COMMIT');
    await ending;
    expect(await unplaced()).toEqual([{ id: child }]);

    await first.sweep();
    expect(await unplaced()).toEqual([]);
  });

  it('count a crash and forget that the call ran in one commit', async () => {
    const former = await open();
    await former.commit([rootCall(idOf(1))]);
    former.markRunning([idOf(1)], []);
    await former.die();
    const owner = await open();
    expect((await owner.recover()).inFlight).toEqual([idOf(1)]);
    await stores.database.query('BEGIN');
    await stores.database.query(`LOCK TABLE ${stores.schema}.running IN SHARE MODE`);
    const counting = owner.commit([{ type: 'progress', id: idOf(1), progress: progressOf({ crashes: 1 }) }]);
    await until(async () => (await stores.database.query('SELECT FROM pg_locks WHERE NOT granted')).length > 0);
    expect((await owner.get(idOf(1)))?.progress.crashes).toBe(0);
    await stores.database.query('COMMIT');
    await counting;
    expect((await owner.get(idOf(1)))?.progress.crashes).toBe(1);
    expect(await stores.database.query(`SELECT call FROM ${stores.schema}.running`)).toEqual([]);
  });

  it('forget the marks of processes that are no more, but for calls that go on', async () => {
    const former = await open();
    await former.commit([rootCall(idOf(1)), rootCall(idOf(2))]);
    former.markRunning([idOf(1), idOf(2)], []);
    await former.commit([finished(idOf(1))]);
    await former.die();
    await open();
    expect(await stores.database.query(`SELECT call FROM ${stores.schema}.running`)).toEqual([{ call: idOf(2) }]);
  });
});
