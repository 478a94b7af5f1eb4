import { describe, expect, it } from '@jest/globals';
import { UNPLACED, type ClaimableFunctions, type Mutation } from '../../lib/scheduler/store.js';
import { childCall, finished, idOf, progressOf, rootCall, targetOf } from './calls.js';
import { until } from '../support/fleet.js';
import { TestStores } from '../support/test-stores.js';

const stores = TestStores.use();
const open = () => stores.open();

const EVERYTHING: ClaimableFunctions = { endpoints: [], functions: [] };

/** A child that any process may claim. */
function branchCall(id: string, root: string): Mutation {
  const call = childCall(id, root);
  return { ...call, header: { ...call.header, branchId: id }, free: true };
}

const registered = (name: string, version = '') => ({ endpoint: 'local', function: name, version });
const withoutLimits = { runs: undefined, perKey: undefined };

describe('processes that share a store', () => {
  it('know what the others have registered that are alive', async () => {
    const [first, second, third] = [await open(), await open(), await open()];
    await first.register([{ ...registered('a', '1'), runs: 3, perKey: undefined }]);
    await second.register([{ ...registered('a', '1'), ...withoutLimits }]);
    await third.register([{ ...registered('b'), ...withoutLimits }]);
    expect(await first.registeredElsewhere()).toEqual(expect.arrayContaining([registered('a', '1'), registered('b')]));
    expect(await second.registeredElsewhere()).toHaveLength(2);

    await third.register([{ ...registered('c'), ...withoutLimits }]);
    await second.close();
    expect(await first.registeredElsewhere()).toEqual([registered('c')]);
    await first.die();
    const last = await open();
    expect(await last.registeredElsewhere()).toEqual([]);
  });

  it('hand a branch from one to the other, and its result back', async () => {
    const [first, second] = [await open(), await open()];
    const [root, child] = [idOf(1), idOf(2)];
    const branch = branchCall(child, root);
    await first.commit([rootCall(root), branch]);
    expect((await first.claim(10, EVERYTHING)).calls.map(({ header }) => header.id)).toEqual([child]);
    await first.close();

    const { calls, branches } = await second.claim(10, EVERYTHING);
    expect(calls.map(({ header }) => header.id)).toEqual([root, child]);
    expect(branches).toMatchObject([{ id: child, parentId: root, correlationId: 1n }]);
    await second.commit([finished(child, { inbox: UNPLACED })]);
    expect(await second.endedBranches(10)).toMatchObject([{ id: child, parentId: root, state: 'succeeded' }]);

    await second.commit([], { placed: [{ id: child, inbox: 1 }], cancelled: [], deaf: [], released: [] });
    expect(await second.endedBranches(10)).toEqual([]);
    expect((await second.get(child))?.finished?.inbox).toBe(1);
  });

  it('hand on a part of a tree as a branch', async () => {
    const [first, second] = [await open(), await open()];
    const [root, child, grandchild] = [idOf(1), idOf(2), idOf(3)];
    await first.commit([rootCall(root), childCall(child, root), childCall(grandchild, root, child)]);
    const released = [child, grandchild].map((id) => ({ id, branchId: child }));
    await first.commit([], { placed: [], cancelled: [], deaf: [], released });

    const { calls } = await second.claim(10, EVERYTHING);
    expect(calls.map(({ header }) => [header.id, header.branchId])).toEqual([
      [child, child],
      [grandchild, child],
    ]);
    await expect(first.commit([], { placed: [], cancelled: [], deaf: [], released })).rejects.toThrow(
      'nothing of it was stored',
    );
    await second.commit([finished(grandchild, { inbox: 1 }), finished(child, { inbox: UNPLACED })]);
    expect(await first.endedBranches(10)).toMatchObject([{ id: child, parentId: root, state: 'succeeded' }]);
  });

  it('hand on the key of a call, but not that of the function that it was before a tail call', async () => {
    const [first, second] = [await open(), await open()];
    const { endpoint, function: name } = targetOf();
    const calls = [idOf(1), idOf(2)].map((id, n) => ({ id, endpoint, function: name, key: `key ${n}`, perKey: 1 }));
    const [stays, becomesAnother] = [idOf(1), idOf(2)];
    await first.commit(calls.map(({ id, key }) => rootCall(id, { header: { key } })));
    expect(await first.shareKeys(calls, [])).toHaveLength(2);
    const target = targetOf({ function: 'Publisher.other' });
    await first.commit([{ type: 'replace', id: becomesAnother, progress: progressOf({ incarnation: 2 }), target }]);
    await first.close();

    const { calls: claimed, withKey } = await second.claim(10, EVERYTHING);
    expect(claimed.map(({ header }) => header.id)).toEqual([stays, becomesAnother]);
    expect(withKey).toEqual([stays]);
  });

  it('refuse to place a result twice', async () => {
    const store = await open();
    const [root, child] = [idOf(1), idOf(2)];
    await store.commit([rootCall(root), branchCall(child, root)]);
    await store.claim(1, EVERYTHING);
    await store.commit([finished(child, { inbox: UNPLACED })]);
    const placed = { placed: [{ id: child, inbox: 1 }], cancelled: [], deaf: [], released: [] };
    await store.commit([], placed);
    await expect(store.commit([], placed)).rejects.toThrow('nothing of it was stored');
  });

  it('drop results of branches for calls that have ended', async () => {
    const store = await open();
    const [root, child] = [idOf(1), idOf(2)];
    await store.commit([rootCall(root), branchCall(child, root)]);
    await store.claim(1, EVERYTHING);
    await store.commit([finished(root)]);
    await store.commit([finished(child, { inbox: UNPLACED })]);
    expect((await store.get(child))?.finished?.inbox).toBe(0);
  });

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

  it('have whoever claims a branch cancel it, where that was asked for', async () => {
    const [first, second] = [await open(), await open()];
    const [root, child] = [idOf(1), idOf(2)];
    await first.commit([rootCall(root), branchCall(child, root)]);
    await first.commit([], { placed: [], cancelled: [child], deaf: [], released: [] });
    // It has no function that is registered here, and is to be cancelled all the same.
    const { calls } = await second.claim(10, { endpoints: [targetOf().endpoint], functions: [] });
    expect(calls.map(({ header }) => header.id)).toEqual([child]);
    expect(await second.requestedCancels()).toEqual([child]);
  });

  it.each([
    ['when its own run ends', [], [idOf(1)]],
    ['when it begins it once more', [idOf(1)], []],
  ])('leave the mark of a running call to the process that has it by now, %s', async (_, started, ended) => {
    const former = await open();
    await former.commit([rootCall(idOf(1)), rootCall(idOf(2))]);
    former.markRunning([idOf(ended.length > 0 ? 1 : 2)], []);
    await former.die();
    const owner = await open();
    await owner.recover();
    owner.markRunning([idOf(1)], [idOf(2)]);
    await owner.unwatch([]);

    // It was paused, and does not know yet that it counts as dead.
    former.markRunning(started, ended);
    await former.close();
    await owner.die();
    expect((await (await open()).recover()).inFlight).toEqual([idOf(1)]);
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
