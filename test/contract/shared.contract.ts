import { describe, expect, it } from '@jest/globals';
import { UNPLACED, type ClaimableFunctions, type Mutation, type SharedStore } from '../../lib/scheduler/store.js';
import { childCall, finished, idOf, progressOf, rootCall, targetOf } from './calls.js';

/** The stores of processes that share one: those of a test share what is empty at its beginning. */
export interface SharedStores {
  open(): Promise<MortalSharedStore>;
}

export interface MortalSharedStore extends SharedStore {
  /** All that share the store count as dead, this process among them, which does not know it yet. */
  die(): Promise<void>;
}

export const EVERYTHING: ClaimableFunctions = { endpoints: [], functions: [] };

/** A child that any process may claim. */
export function branchCall(id: string, root: string): Mutation {
  const call = childCall(id, root);
  return { ...call, header: { ...call.header, branchId: id }, free: true };
}

const registered = (name: string, version = '') => ({ endpoint: 'local', function: name, version });
const withoutLimits = { runs: undefined, perKey: undefined };

/** What every store has to do that several processes share. */
export function describeShared(name: string, stores: SharedStores): void {
  describe(`processes that share ${name}`, () => {
    const open = () => stores.open();

    it('know what the others have registered that are alive', async () => {
      const [first, second, third] = [await open(), await open(), await open()];
      await first.register([{ ...registered('a', '1'), runs: 3, perKey: undefined }]);
      await second.register([{ ...registered('a', '1'), ...withoutLimits }]);
      await third.register([{ ...registered('b'), ...withoutLimits }]);
      expect(await first.registeredElsewhere()).toEqual(
        expect.arrayContaining([registered('a', '1'), registered('b')]),
      );
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

    it('have whoever claims a branch cancel it, where that was asked for', async () => {
      const [first, second] = [await open(), await open()];
      const [root, child] = [idOf(1), idOf(2)];
      await first.commit([rootCall(root), branchCall(child, root)]);
      await first.commit([], { placed: [], cancelled: [child], deaf: [], released: [] });
      // It has no function that is registered here, and is to be cancelled all the same.
      const { calls, toCancel } = await second.claim(10, { endpoints: [targetOf().endpoint], functions: [] });
      expect(calls.map(({ header }) => header.id)).toEqual([child]);
      expect(toCancel).toEqual([child]);
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
  });
}
