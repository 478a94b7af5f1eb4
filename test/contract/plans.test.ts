import { expect, it } from '@jest/globals';
import { UNPLACED, type DispatchId, type Mutation } from '../../lib/scheduler/store.js';
import { until } from '../support/fleet.js';
import { TestStores } from '../support/test-stores.js';
import { appended, childCall, finished, idOf, progressed, rootCall } from './calls.js';

const stores = TestStores.use();
const CALLS = 1_000;
const AT_ONCE = 50;
/** Rows and index entries that are read for each call that a commit writes of, at most. */
const READS = 5;

/** What the server has read of the calls so far, in all ways. */
async function readsOfCalls(): Promise<{ reads: number; writes: number }> {
  const [row] = await stores.database.query(
    `SELECT n_tup_ins + n_tup_upd AS writes, seq_tup_read + coalesce(idx_tup_fetch, 0) + (
       SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relid = calls.relid) AS reads
     FROM pg_stat_user_tables AS calls WHERE schemaname = $1 AND relname = 'calls'`,
    [stores.schema],
  );
  return { reads: Number(row?.['reads']), writes: Number(row?.['writes']) };
}

it('commits read as much for each call however many there are, also where statistics are of a time with few', async () => {
  const store = await stores.open();
  const ids = (first: number): DispatchId[] => Array.from({ length: CALLS }, (_, n) => idOf(first + n));
  const [parent, roots, children] = [idOf(1), ids(10_000), ids(20_000)];
  // When nothing was under way, and no call had called another.
  const early = ids(30_000);
  await store.commit(early.map((id) => rootCall(id)));
  await store.commit(early.map((id) => finished(id)));
  await stores.database.query(`ANALYZE ${stores.schema}.calls`);
  await store.commit([rootCall(parent), ...roots.map((id) => rootCall(id))]);
  await store.commit(children.map((id) => childCall(id, parent)));
  /** A few at a time: each commit finds its own among all of them. */
  const commit = async (calls: readonly DispatchId[], write: (id: DispatchId) => Mutation): Promise<void> => {
    for (let first = 0; first < calls.length; first += AT_ONCE) {
      await store.commit(calls.slice(first, first + AT_ONCE).map(write));
    }
  };
  await commit([...roots, ...children], (id) => progressed(id, { attempt: 1 }));
  await commit(children, (id) => appended(id, 'round'));
  await commit(roots, (id) => finished(id));
  await commit(children, (id) => finished(id, { inbox: UNPLACED }));
  const places = children.map((id, n) => ({ id, inbox: n + 1 }));
  for (let first = 0; first < CALLS; first += AT_ONCE) {
    const placed = places.slice(first, first + AT_ONCE);
    await store.commit([], { placed, cancelled: [], deaf: [], released: [] });
  }
  // The server counts what a connection did at its end.
  await store.close();
  await until(async () => (await readsOfCalls()).writes > 10 * CALLS);
  const { reads, writes } = await readsOfCalls();
  expect(reads).toBeLessThan(READS * writes);
});
