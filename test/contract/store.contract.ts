import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { equals } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { crc32 } from 'node:zlib';
import { CallResultSchema } from '../../lib/gen/dispatch/sdk/v1/call_pb.js';
import { ErrorSchema } from '../../lib/gen/dispatch/sdk/v1/error_pb.js';
import { Status } from '../../lib/gen/dispatch/sdk/v1/status_pb.js';
import { create } from '@bufbuild/protobuf';
import { StoreError } from '../../lib/scheduler/store.js';
import { matches } from '../../lib/scheduler/stores/call.filter.js';
import type { CallFilter, CallRow, DispatchId, Mutation, Store } from '../../lib/scheduler/store.js';
import {
  appended,
  bytesInput,
  childCall,
  finished,
  foreignState,
  idOf,
  NOW,
  progressed,
  progressOf,
  purged,
  resultOf,
  rootCall,
  stringInput,
  targetOf,
} from './calls.js';

/** One kind of store, as the contract is tried on it. */
export interface StoreUnderTest {
  readonly store: Store;
  /** Ends the store as the death of its process does, so that it can be opened again. */
  crash(): Promise<void>;
  /** A fresh `Store` on the same data, or the same object where there is nothing but that. Not open. */
  again(): Store;
  dispose(): Promise<void>;
}

/** What every store has to do. */
export function describeStore(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(name, () => {
    let kind: StoreUnderTest;
    let store: Store;

    beforeEach(async () => {
      kind = await make();
      store = kind.store;
      await store.open();
    });
    afterEach(() => kind.dispose());

    const commit = (...mutations: Mutation[]) => store.commit(mutations);
    const row = async (id: DispatchId): Promise<CallRow> => {
      const found = await store.get(id);
      if (!found) throw new Error(`there is no call ${id}`);
      return found;
    };
    const reopen = async () => {
      await store.close();
      store = kind.again();
      await store.open();
    };
    const crash = async () => {
      await kind.crash();
      store = kind.again();
      await store.open();
    };
    const text = async (id: DispatchId) => Buffer.from(await store.journal(id)).toString();
    const idsOf = (rows: readonly CallRow[]) => rows.map((found) => found.header.id);
    const refused = async (...mutations: Mutation[]) => {
      await expect(commit(...mutations)).rejects.toBeInstanceOf(StoreError);
    };

    describe('creates', () => {
      it('a call and gives it back whole', async () => {
        const call = rootCall(idOf(1), {
          header: { expiresAt: NOW + 60_000, priority: -7, key: 'customer 7 ✓' },
          target: { endpoint: 'https://example.com', function: 'résumé.λ', version: 'v2 ✓' },
          progress: {
            state: 'suspended',
            dueAt: NOW + 5,
            attempt: 2,
            crashes: 1,
            incarnation: 3,
            delivered: 4,
            minResults: 5,
            maxResults: 6,
            wakeAt: NOW + 7,
            cancelBy: NOW + 8,
          },
        });
        await commit(call);
        expect(await store.get(idOf(1))).toEqual({
          header: call.header,
          target: { endpoint: 'https://example.com', function: 'résumé.λ', version: 'v2 ✓' },
          progress: call.progress,
          position: { bytes: 0, digest: 0 },
          foreignState: undefined,
          finished: undefined,
        });
      });

      it('a child with all 64 bits of its correlation id', async () => {
        const correlations = [1n, (1n << 32n) | 7n, (1n << 53n) + 1n, (1n << 63n) + 5n, (1n << 64n) - 1n];
        await commit(
          rootCall(idOf(1)),
          ...correlations.map((correlationId, n) =>
            childCall(idOf(n + 2), idOf(1), idOf(1), { correlationId, parentIncarnation: 9 }),
          ),
        );
        const children = await Promise.all(correlations.map((_, n) => row(idOf(n + 2))));
        expect(children.map((child) => child.header.correlationId)).toEqual(correlations);
        expect(children[0]?.header).toMatchObject({ parentId: idOf(1), rootId: idOf(1), parentIncarnation: 9 });
      });

      it('calls with ids that are not of our making', async () => {
        const ids = ['a', 'ABCDEF0123456789ABCDEF0123456789', 'ünïcode'];
        await commit(...ids.map((id) => rootCall(id)));
        expect(idsOf((await store.recover()).calls)).toEqual(ids);
        expect(await store.get('abcdef0123456789abcdef0123456789')).toBeUndefined();
      });

      it('no call twice', async () => {
        await commit(rootCall(idOf(1), { progress: { dueAt: 1 } }));
        await refused(rootCall(idOf(1), { progress: { dueAt: 2 } }));
        expect((await row(idOf(1))).progress.dueAt).toBe(1);
        await refused(rootCall(idOf(2)), rootCall(idOf(2)));
      });

      it('no call that has ended before it began', async () => {
        await refused(rootCall(idOf(1), { progress: { state: 'succeeded' } }));
      });
    });

    describe('keeps inputs', () => {
      it.each([0, 1, 1000, 1023, 1024, 1025, 70_000, 8 * 1024 * 1024])('of %i bytes', async (size) => {
        const input = bytesInput(Buffer.alloc(size, 'abcdefg'));
        await commit(
          rootCall(idOf(1), { target: { input } }),
          rootCall(idOf(2), { target: { input: stringInput('other') } }),
        );
        await commit(progressed(idOf(1), { attempt: 1 }));
        const kept = await store.input(idOf(1));
        expect(kept && equals(AnySchema, kept, input)).toBe(true);
      });

      it('that are absent as absent, also of unknown calls', async () => {
        await commit(rootCall(idOf(1)));
        expect(await store.input(idOf(1))).toBeUndefined();
        expect(await store.input(idOf(2))).toBeUndefined();
      });

      it('safe from whoever changes the message afterwards', async () => {
        const input = bytesInput(Buffer.from('before'));
        await commit(rootCall(idOf(1), { target: { input } }));
        input.value.fill(0);
        const kept = await store.input(idOf(1));
        expect(Buffer.from(kept?.value ?? []).toString()).toBe('before');
      });
    });

    describe('changes progress', () => {
      it('and nothing else', async () => {
        const call = rootCall(idOf(1), { target: { input: stringInput('in') } });
        await commit(call, appended(idOf(1), 'round'));
        const progress = progressOf({
          state: 'incompatible',
          dueAt: NOW + 9,
          attempt: 3,
          wakeAt: NOW + 10,
          cancelBy: NOW + 11,
        });
        await commit({ type: 'progress', id: idOf(1), progress });
        expect(await row(idOf(1))).toMatchObject({ header: call.header, progress, position: { bytes: 5 } });
        await commit(progressed(idOf(1)));
        expect((await row(idOf(1))).progress).toEqual(progressOf());
        expect(await text(idOf(1))).toBe('round');
        expect(await store.input(idOf(1))).toBeDefined();
      });

      it('and opens a finished call again', async () => {
        await commit(rootCall(idOf(1)), finished(idOf(1), { state: 'failed', inbox: 3 }));
        await commit(progressed(idOf(1), { attempt: 0 }));
        expect(await row(idOf(1))).toMatchObject({ progress: progressOf(), finished: undefined });
        expect(await store.results([idOf(1)])).toEqual([undefined]);
        expect(idsOf((await store.recover()).calls)).toEqual([idOf(1)]);
      });

      it('only to a state that is no end', async () => {
        await commit(rootCall(idOf(1)));
        await refused(progressed(idOf(1), { state: 'cancelled' }));
        await refused({ type: 'replace', id: idOf(1), progress: progressOf({ state: 'failed' }) });
      });
    });

    describe('replaces', () => {
      it.each([
        ['small by small', 10, 20],
        ['small by large', 10, 5000],
        ['large by small', 5000, 10],
        ['large by large', 5000, 6000],
      ])('a target, %s', async (_, before, after) => {
        const target = targetOf({
          endpoint: 'http://b',
          function: 'g',
          version: '2',
          input: bytesInput(Buffer.alloc(after, 2)),
        });
        await commit(
          rootCall(idOf(1), { target: { input: bytesInput(Buffer.alloc(before, 1)) } }),
          appended(idOf(1), 'old'),
        );
        await commit({ type: 'replace', id: idOf(1), target, progress: progressOf({ incarnation: 2 }) });
        expect(await row(idOf(1))).toMatchObject({
          target: { endpoint: 'http://b', function: 'g', version: '2' },
          progress: { incarnation: 2 },
          position: { bytes: 0, digest: 0 },
        });
        expect((await store.input(idOf(1)))?.value).toEqual(new Uint8Array(after).fill(2));
        expect(await text(idOf(1))).toBe('');
      });

      it('a target by one without input', async () => {
        await commit(rootCall(idOf(1), { target: { input: bytesInput(Buffer.alloc(5000)) } }));
        await commit({ type: 'replace', id: idOf(1), target: targetOf(), progress: progressOf() });
        expect(await store.input(idOf(1))).toBeUndefined();
      });

      it('nothing but the journal and the progress when there is no target', async () => {
        await commit(rootCall(idOf(1), { target: { input: stringInput('in') } }), foreignState(idOf(1), 'state'));
        await commit({ type: 'replace', id: idOf(1), progress: progressOf({ incarnation: 2 }) });
        expect(await row(idOf(1))).toMatchObject({
          target: { function: 'Publisher.publish' },
          position: { bytes: 0 },
          foreignState: undefined,
        });
        expect(await store.input(idOf(1))).toEqual(stringInput('in'));
        expect(await text(idOf(1))).toBe('');
      });

      it('the end of a finished call: it runs again', async () => {
        await commit(rootCall(idOf(1)), finished(idOf(1)));
        await commit({ type: 'replace', id: idOf(1), progress: progressOf({ incarnation: 2 }) });
        expect((await row(idOf(1))).finished).toBeUndefined();
        await commit(finished(idOf(1), { result: resultOf('again') }));
        expect(await store.results([idOf(1)])).toEqual([resultOf('again')]);
      });
    });

    describe('keeps journals', () => {
      it('as they were appended, each for itself', async () => {
        await commit(rootCall(idOf(1)), rootCall(idOf(2)), appended(idOf(1), 'one '), appended(idOf(2), 'uno '));
        await commit(
          appended(idOf(2), 'due', 'uno '),
          appended(idOf(1), 'two ', 'one '),
          appended(idOf(1), 'three', 'one two '),
        );
        expect(await text(idOf(1))).toBe('one two three');
        expect(await text(idOf(2))).toBe('uno due');
        expect((await row(idOf(1))).position).toEqual({ bytes: 13, digest: crc32('one two three') });
        await reopen();
        expect(await text(idOf(1))).toBe('one two three');
      });

      it('of many rounds in order', async () => {
        const rounds = Array.from({ length: 300 }, (_, n) => `${n};`);
        await commit(
          rootCall(idOf(1)),
          ...rounds.map((round, n) => appended(idOf(1), round, rounds.slice(0, n).join(''))),
        );
        expect(await text(idOf(1))).toBe(rounds.join(''));
      });

      it('when nothing is appended', async () => {
        await commit(rootCall(idOf(1)), appended(idOf(1), ''), appended(idOf(1), 'a'), appended(idOf(1), '', 'a'));
        expect(await text(idOf(1))).toBe('a');
      });

      it('and refuses what does not begin where they end', async () => {
        await commit(rootCall(idOf(1)), appended(idOf(1), 'abc'));
        await refused(appended(idOf(1), 'd', 'ab'));
        await refused(appended(idOf(1), 'd', 'abcd'));
        expect(await text(idOf(1))).toBe('abc');
      });

      it('of 8 MB, and foreign states as well', async () => {
        const state = Buffer.alloc(8 * 1024 * 1024, 'xyz');
        await commit(rootCall(idOf(1)), { type: 'state', id: idOf(1), state, typed: false });
        expect(state.equals(await store.journal(idOf(1)))).toBe(true);
      });

      it('as foreign states, each of which replaces the last', async () => {
        await commit(rootCall(idOf(1)), appended(idOf(1), 'round'));
        await commit(foreignState(idOf(1), 'first'));
        expect(await row(idOf(1))).toMatchObject({
          foreignState: 'bytes',
          position: { bytes: 5, digest: crc32('first') },
        });
        await commit(foreignState(idOf(1), 'second', true));
        expect((await row(idOf(1))).foreignState).toBe('typed');
        expect(await text(idOf(1))).toBe('second');
        await commit(foreignState(idOf(1), ''));
        expect((await row(idOf(1))).foreignState).toBe('bytes');
        expect(await text(idOf(1))).toBe('');
      });

      it('that go on from the bytes of a foreign state, but not from a typed one', async () => {
        await commit(
          rootCall(idOf(1)),
          rootCall(idOf(2)),
          foreignState(idOf(1), 'state '),
          foreignState(idOf(2), 'state ', true),
        );
        await commit(appended(idOf(1), 'round', 'state '));
        expect((await row(idOf(1))).foreignState).toBeUndefined();
        expect(await text(idOf(1))).toBe('state round');
        await refused(appended(idOf(2), 'round', 'state '));
      });

      it('and gives an empty one for unknown calls', async () => {
        expect(await store.journal(idOf(1))).toHaveLength(0);
      });
    });

    describe('finishes', () => {
      it('a call with its result, and removes its journal', async () => {
        await commit(
          rootCall(idOf(1), { progress: { attempt: 4 }, target: { input: stringInput('in') } }),
          appended(idOf(1), 'round'),
        );
        const result = create(CallResultSchema, {
          correlationId: (1n << 64n) - 1n,
          dispatchId: idOf(1),
          output: stringInput('partial ✓'),
          error: create(ErrorSchema, { type: 'Oops', message: 'ä', value: Buffer.from([0, 1]) }),
        });
        await commit(
          finished(idOf(1), { state: 'failed', status: Status.PERMANENT_ERROR, result, finishedAt: NOW + 5, inbox: 2 }),
        );
        expect(await row(idOf(1))).toMatchObject({
          progress: { ...progressOf({ attempt: 4 }), state: 'failed' },
          finished: { state: 'failed', status: Status.PERMANENT_ERROR, finishedAt: NOW + 5, inbox: 2 },
          position: { bytes: 0, digest: 0 },
        });
        expect((await row(idOf(1))).finished).not.toHaveProperty('result');
        expect(await text(idOf(1))).toBe('');
        const [kept] = await store.results([idOf(1)]);
        expect(kept && equals(CallResultSchema, kept, result)).toBe(true);
        expect(await store.input(idOf(1))).toEqual(stringInput('in'));
      });

      it('no call twice, and writes no journal after the end', async () => {
        await commit(rootCall(idOf(1)), finished(idOf(1), { result: resultOf('first') }));
        await refused(finished(idOf(1), { result: resultOf('second') }));
        await refused(appended(idOf(1), 'round'));
        await refused(foreignState(idOf(1), 'state'));
        expect(await store.results([idOf(1)])).toEqual([resultOf('first')]);
        expect(await text(idOf(1))).toBe('');
      });

      it('and gives results in the order that is asked for', async () => {
        await commit(
          ...[1, 2, 3].map((n) => rootCall(idOf(n))),
          finished(idOf(1), { result: resultOf('1') }),
          finished(idOf(3), { result: resultOf('3') }),
        );
        const results = await store.results([idOf(3), idOf(2), idOf(9), idOf(1), idOf(3), "'"]);
        expect(results).toEqual([resultOf('3'), undefined, undefined, resultOf('1'), resultOf('3'), undefined]);
        expect(await store.results([])).toEqual([]);
      });

      it('with an empty result', async () => {
        await commit(rootCall(idOf(1)), finished(idOf(1), { result: create(CallResultSchema) }));
        expect(await store.results([idOf(1)])).toEqual([create(CallResultSchema)]);
      });

      it('with a result of 8 MB', async () => {
        const result = create(CallResultSchema, { output: bytesInput(Buffer.alloc(8 * 1024 * 1024, 'r')) });
        await commit(rootCall(idOf(1)), finished(idOf(1), { result }));
        const [kept] = await store.results([idOf(1)]);
        expect(Buffer.from(kept?.output?.value ?? []).equals(Buffer.alloc(8 * 1024 * 1024, 'r'))).toBe(true);
      });
    });

    describe('commits', () => {
      it('all mutations or none', async () => {
        await commit(
          rootCall(idOf(1), { progress: { attempt: 1 } }),
          appended(idOf(1), 'a'),
          rootCall(idOf(2)),
          rootCall(idOf(3)),
          finished(idOf(3)),
        );
        await refused(
          rootCall(idOf(4), { target: { input: bytesInput(Buffer.alloc(5000)) } }),
          progressed(idOf(1), { attempt: 2 }),
          appended(idOf(1), 'b', 'a'),
          finished(idOf(2)),
          purged(idOf(3)),
          progressed(idOf(99)),
          rootCall(idOf(5)),
        );
        expect((await row(idOf(1))).progress.attempt).toBe(1);
        expect(await text(idOf(1))).toBe('a');
        expect((await row(idOf(2))).finished).toBeUndefined();
        expect((await row(idOf(3))).finished).toBeDefined();
        expect(await store.get(idOf(4))).toBeUndefined();
        expect(await store.get(idOf(5))).toBeUndefined();
        await commit(rootCall(idOf(4)));
        expect(idsOf((await store.recover()).calls)).toEqual([idOf(1), idOf(2), idOf(4)]);
      });

      it('in order, within a list and from list to list', async () => {
        await Promise.all([
          commit(rootCall(idOf(1)), progressed(idOf(1), { attempt: 1 }), progressed(idOf(1), { attempt: 2 })),
          commit(progressed(idOf(1), { attempt: 3 })),
          commit(progressed(idOf(1), { attempt: 4 }), rootCall(idOf(2)), finished(idOf(2)), purged(idOf(2))),
        ]);
        expect((await row(idOf(1))).progress.attempt).toBe(4);
        expect(await store.get(idOf(2))).toBeUndefined();
      });

      it('in order, whether they are small or large', async () => {
        const many = (from: number) => Array.from({ length: 500 }, (_, n) => rootCall(idOf(from + n)));
        await Promise.all([
          commit(...many(1000), rootCall(idOf(1))),
          commit(progressed(idOf(1), { attempt: 1 })),
          commit(...many(2000), progressed(idOf(1), { attempt: 2 })),
          commit(finished(idOf(1))),
        ]);
        expect((await row(idOf(1))).finished).toBeDefined();
      });

      it('the end of a call with its beginning', async () => {
        await commit(
          rootCall(idOf(1)),
          rootCall(idOf(2), {
            header: childCall(idOf(2), idOf(1)).header,
            target: { input: bytesInput(Buffer.alloc(5000, 7)) },
          }),
          appended(idOf(1), 'a'),
          finished(idOf(2), { inbox: 1 }),
          progressed(idOf(1), { state: 'suspended', delivered: 0 }),
        );
        await reopen();
        expect(await row(idOf(2))).toMatchObject({ finished: { state: 'succeeded', inbox: 1 } });
        expect((await store.input(idOf(2)))?.value).toHaveLength(5000);
        expect((await store.results([idOf(2)]))[0]?.output?.value.length).toBeGreaterThan(0);
        const { calls, undelivered } = await store.recover();
        expect(idsOf(calls)).toEqual([idOf(1)]);
        expect(undelivered.map(({ id }) => id)).toEqual([idOf(2)]);
      });

      it('the end of a call with its beginning, and that it begins again', async () => {
        await commit(rootCall(idOf(1)), finished(idOf(1)), progressed(idOf(1), { incarnation: 2 }));
        expect(await row(idOf(1))).toMatchObject({ finished: undefined, progress: { incarnation: 2 } });
      });

      it('the end of a call that has made a round with its beginning', async () => {
        await commit(
          rootCall(idOf(1)),
          appended(idOf(1), 'a'),
          progressed(idOf(1), { delivered: 1 }),
          finished(idOf(1)),
        );
        expect((await row(idOf(1))).finished).toBeDefined();
        expect(await text(idOf(1))).toBe('');
      });

      it('no two ends of a call', async () => {
        await refused(rootCall(idOf(1)), finished(idOf(1)), finished(idOf(1)));
        await refused(rootCall(idOf(1)), rootCall(idOf(1)), finished(idOf(1)));
        expect(await store.get(idOf(1))).toBeUndefined();
      });

      it('no round that does not continue the journal, with the progress that it made', async () => {
        await commit(rootCall(idOf(1)), appended(idOf(1), 'ab'));
        await refused(appended(idOf(1), 'c', 'a'), progressed(idOf(1), { delivered: 1 }));
        await commit(appended(idOf(1), 'c', 'ab'), progressed(idOf(1), { delivered: 1 }));
        expect(await text(idOf(1))).toBe('abc');
      });

      it('nothing', async () => {
        await expect(commit()).resolves.toBeUndefined();
      });

      it('goes on after a refusal', async () => {
        const results = await Promise.allSettled([commit(progressed(idOf(9))), commit(rootCall(idOf(1)))]);
        expect(results.map((result) => result.status)).toEqual(['rejected', 'fulfilled']);
      });

      it.each<Mutation>([
        progressed(idOf(9)),
        { type: 'replace', id: idOf(9), target: targetOf(), progress: progressOf() },
        appended(idOf(9), 'a'),
        appended(idOf(9), ''),
        foreignState(idOf(9), 'a'),
        finished(idOf(9)),
      ])('no $type of a call that is unknown', async (mutation) => {
        await expect(commit(mutation)).rejects.toThrow(idOf(9));
        await expect(commit(mutation)).rejects.toBeInstanceOf(StoreError);
      });
    });

    describe('recovers', () => {
      it('nothing from nothing', async () => {
        expect(await store.recover()).toMatchObject({ calls: [], undelivered: [], inFlight: [] });
      });

      it('unfinished calls in the order of creation', async () => {
        await commit(rootCall(idOf(5)), rootCall(idOf(3)));
        await commit(childCall(idOf(9), idOf(5)), rootCall(idOf(1)), childCall(idOf(2), idOf(9), idOf(5)));
        await commit(
          finished(idOf(3)),
          progressed(idOf(5), { state: 'suspended' }),
          progressed(idOf(1), { state: 'incompatible' }),
        );
        await reopen();
        const { calls } = await store.recover();
        expect(idsOf(calls)).toEqual([idOf(5), idOf(9), idOf(1), idOf(2)]);
        expect(calls[0]).toEqual(await store.get(idOf(5)));
        await commit(rootCall(idOf(0)));
        expect(idsOf((await store.recover()).calls).at(-1)).toBe(idOf(0));
      });

      it('results that parents have not taken in, by parent and inbox', async () => {
        const parents = [
          rootCall(idOf(2), { progress: { delivered: 1 } }),
          rootCall(idOf(1)),
          rootCall(idOf(3)),
          rootCall(idOf(4), { progress: { incarnation: 2 } }),
        ];
        await commit(
          ...parents,
          childCall(idOf(11), idOf(1), idOf(1), { correlationId: (1n << 33n) | 1n }),
          childCall(idOf(12), idOf(1), idOf(1), { correlationId: (1n << 63n) | 2n }),
          childCall(idOf(13), idOf(1)),
          childCall(idOf(14), idOf(11), idOf(1)),
          childCall(idOf(21), idOf(2)),
          childCall(idOf(22), idOf(2)),
          childCall(idOf(23), idOf(2)),
          childCall(idOf(31), idOf(3)),
          childCall(idOf(41), idOf(4)),
          childCall(idOf(42), idOf(4), idOf(4), { parentIncarnation: 2 }),
        );
        await commit(
          finished(idOf(12), { inbox: 1 }),
          finished(idOf(14), { inbox: 1 }),
          finished(idOf(11), { inbox: 2 }),
          finished(idOf(21), { inbox: 1 }),
          finished(idOf(23), { inbox: 3 }),
          finished(idOf(22), { inbox: 2 }),
          finished(idOf(31), { inbox: 1 }),
          finished(idOf(3)),
          finished(idOf(41), { inbox: 1 }),
          finished(idOf(42), { inbox: 1 }),
        );
        await crash();
        expect((await store.recover()).undelivered).toEqual([
          { id: idOf(22), parentId: idOf(2), correlationId: 1n, inbox: 2 },
          { id: idOf(23), parentId: idOf(2), correlationId: 1n, inbox: 3 },
          { id: idOf(12), parentId: idOf(1), correlationId: (1n << 63n) | 2n, inbox: 1 },
          { id: idOf(11), parentId: idOf(1), correlationId: (1n << 33n) | 1n, inbox: 2 },
          { id: idOf(42), parentId: idOf(4), correlationId: 1n, inbox: 1 },
        ]);
      });

      it('no result that is not for the parent', async () => {
        await commit(rootCall(idOf(1)), childCall(idOf(2), idOf(1)), finished(idOf(2), { inbox: 0 }));
        expect((await store.recover()).undelivered).toEqual([]);
      });

      it('results of children of children', async () => {
        await commit(
          rootCall(idOf(1)),
          childCall(idOf(2), idOf(1)),
          childCall(idOf(3), idOf(2), idOf(1)),
          finished(idOf(3), { inbox: 1 }),
        );
        expect((await store.recover()).undelivered).toMatchObject([{ id: idOf(3), parentId: idOf(2) }]);
      });
    });

    describe('notes which calls run', () => {
      const inFlight = async () => [...(await store.recover()).inFlight].sort();

      beforeEach(() => commit(...Array.from({ length: 40 }, (_, n) => rootCall(idOf(n)))));

      it('and knows them after a crash', async () => {
        store.markRunning([idOf(1), idOf(2)], []);
        store.markRunning([idOf(3)], [idOf(1)]);
        store.markRunning([], []);
        await crash();
        expect(await inFlight()).toEqual([idOf(2), idOf(3)]);
      });

      it('and forgets them when it is closed', async () => {
        store.markRunning([idOf(1)], []);
        await reopen();
        expect(await inFlight()).toEqual([]);
      });

      it('of many that come and go', async () => {
        for (let n = 0; n < 40; n += 4) store.markRunning([idOf(n), idOf(n + 1), idOf(n + 2), idOf(n + 3)], []);
        for (let n = 0; n < 40; n += 2) store.markRunning([], [idOf(n)]);
        store.markRunning([idOf(0)], [idOf(1)]);
        await crash();
        expect(await inFlight()).toEqual([0, ...Array.from({ length: 19 }, (_, n) => 2 * n + 3)].map(idOf));
      });

      it('each once, and takes a call that ended and started for one that runs', async () => {
        store.markRunning([idOf(1), idOf(1)], [idOf(2)]);
        store.markRunning([idOf(1)], [idOf(1)]);
        await crash();
        expect(await inFlight()).toEqual([idOf(1)]);
      });

      it('and still knows them when the next process dies before it did anything', async () => {
        store.markRunning([idOf(1)], []);
        await crash();
        await crash();
        expect(await inFlight()).toEqual([idOf(1)]);
      });

      it('and forgets those that the next process wrote about', async () => {
        store.markRunning([idOf(1), idOf(2), idOf(3), idOf(4), idOf(5)], []);
        await crash();
        await store.recover();
        await commit(progressed(idOf(1), { crashes: 1 }), finished(idOf(2)));
        store.markRunning([idOf(3)], [idOf(4)]);
        await commit(progressed(idOf(3), { crashes: 1 }));
        expect(await inFlight()).toEqual([1, 2, 3, 4, 5].map(idOf));
        await crash();
        expect(await inFlight()).toEqual([idOf(3), idOf(5)]);
      });
    });

    describe('lists', () => {
      const list = async (filter: CallFilter) => idsOf((await store.list(filter, { limit: 100 })).rows);

      beforeEach(async () => {
        await commit(
          rootCall(idOf(1), { target: { function: 'f' }, header: { createdAt: 100 } }),
          childCall(idOf(2), idOf(1), idOf(1), { createdAt: 200 }),
          childCall(idOf(3), idOf(2), idOf(1), { createdAt: 300 }),
          rootCall(idOf(4), { target: { function: 'g' }, header: { createdAt: 400 } }),
          rootCall(idOf(5), {
            target: { function: 'f' },
            progress: { state: 'suspended' },
            header: { createdAt: 500 },
          }),
          childCall(idOf(6), idOf(1), idOf(1), { createdAt: 600 }),
          finished(idOf(3), { state: 'failed' }),
          finished(idOf(4), { state: 'cancelled' }),
          finished(idOf(6)),
        );
      });

      it.each<[string, CallFilter, number[]]>([
        ['all, newest first', {}, [6, 5, 4, 3, 2, 1]],
        ['by state', { state: 'pending' }, [2, 1]],
        ['by an end', { state: 'failed' }, [3]],
        ['by several states', { state: ['suspended', 'cancelled', 'succeeded'] }, [6, 5, 4]],
        ['by several unfinished states', { state: ['suspended', 'incompatible', 'pending'] }, [5, 2, 1]],
        ['by no state', { state: [] }, []],
        ['by function', { function: 'f' }, [5, 1]],
        ['by a function that is not there', { function: 'nope' }, []],
        ['by root, the root included', { rootId: idOf(1) }, [6, 3, 2, 1]],
        ['by the id of a call that is no root', { rootId: idOf(2) }, []],
        ['by parent', { parentId: idOf(1) }, [6, 2]],
        ['by parent below the root', { parentId: idOf(2) }, [3]],
        ['by parent and root', { parentId: idOf(2), rootId: idOf(1) }, [3]],
        ['by parent and another root', { parentId: idOf(2), rootId: idOf(4) }, []],
        ['by a parent that is not there', { parentId: idOf(77) }, []],
        ['roots', { roots: true }, [5, 4, 1]],
        ['by time', { createdAfter: 200, createdBefore: 600 }, [5, 4, 3]],
        [
          'by everything',
          { rootId: idOf(1), state: ['succeeded', 'failed'], function: 'Publisher.publish', createdAfter: 350 },
          [6],
        ],
        ['roots of a tree by state', { rootId: idOf(1), roots: true, state: 'pending' }, [1]],
        ['failed children', { parentId: idOf(2), state: 'failed' }, [3]],
        ['by both ends that are no success', { state: ['failed', 'cancelled'] }, [4, 3]],
        ['failed calls of a function', { state: 'failed', function: 'g' }, []],
        ['roots of a function', { roots: true, function: 'f' }, [5, 1]],
        ['cancelled roots', { roots: true, state: 'cancelled' }, [4]],
        ['unfinished children', { parentId: idOf(1), state: ['pending', 'suspended'] }, [2]],
        ['unfinished children of another tree', { parentId: idOf(1), rootId: idOf(4), state: 'pending' }, []],
        ['unfinished roots', { roots: true, state: ['pending', 'suspended'] }, [5, 1]],
        ['by a time before all', { createdBefore: 100 }, []],
        ['by a time after all', { createdAfter: 600 }, []],
        ['by both bounds of one time', { createdAfter: 299, createdBefore: 301 }, [3]],
        ['failed ones by time', { state: 'failed', createdAfter: 300 }, []],
        ['a tree by time', { rootId: idOf(1), createdBefore: 300 }, [2, 1]],
      ])('%s', async (_, filter, expected) => {
        expect(await list(filter)).toEqual(expected.map(idOf));
      });

      it('rows as get gives them', async () => {
        expect((await store.list({ state: 'failed' }, { limit: 1 })).rows).toEqual([await store.get(idOf(3))]);
      });

      it.each<[string, CallFilter, number[]]>([
        ['all', {}, [6, 5, 4, 3, 2, 1]],
        ['a tree', { rootId: idOf(1) }, [6, 3, 2, 1]],
        ['children', { parentId: idOf(1) }, [6, 2]],
        ['unfinished', { state: ['pending', 'suspended'] }, [5, 2, 1]],
      ])('%s page by page, also while calls are added', async (_, filter, expected) => {
        const pages: DispatchId[][] = [];
        let after: string | undefined;
        do {
          const page = await store.list(filter, { limit: 2, after });
          pages.push(idsOf(page.rows));
          after = page.next;
          await commit(rootCall(idOf(100 + pages.length)));
        } while (after !== undefined);
        expect(pages.flat()).toEqual(expected.map(idOf));
        expect(pages).toHaveLength(Math.ceil(expected.length / 2));
      });

      it('a tree of many parents page by page', async () => {
        const parents = Array.from({ length: 150 }, (_, n) => idOf(1_000 + n));
        await commit(
          ...parents.map((id) => childCall(id, idOf(1))),
          ...parents.flatMap((id, n) => [
            childCall(idOf(3_000 - n), id, idOf(1)),
            childCall(idOf(5_000 + n), id, idOf(1)),
          ]),
        );
        const all = idsOf((await store.list({ rootId: idOf(1) }, { limit: 1_000 })).rows);
        expect(all).toHaveLength(454);
        const paged: DispatchId[] = [];
        let after: string | undefined;
        do {
          const page = await store.list({ rootId: idOf(1) }, { limit: 60, after });
          paged.push(...idsOf(page.rows));
          after = page.next;
        } while (after !== undefined);
        expect(paged).toEqual(all);
        expect(idsOf((await store.list({}, { limit: 450 })).rows)).toEqual(all.slice(0, 450));
      });

      it('what few of many calls match', async () => {
        await commit(...Array.from({ length: 12_000 }, (_, n) => childCall(idOf(10_000 + n), idOf(1))));
        await commit(
          ...[10_000, 15_000, 21_999].map((n) => finished(idOf(n), { state: 'failed' })),
          ...[11_000, 20_000].map((n) => finished(idOf(n), { state: 'cancelled' })),
        );
        const sparse = await list({ rootId: idOf(1), state: ['failed', 'succeeded'] });
        expect(sparse).toEqual([21_999, 15_000, 10_000, 6, 3].map(idOf));
        expect(await list({ state: ['cancelled', 'failed'] })).toEqual(
          [21_999, 20_000, 15_000, 11_000, 10_000, 4, 3].map(idOf),
        );
        expect(await list({ function: 'f' })).toEqual([5, 1].map(idOf));
        expect(await list({ roots: true })).toEqual([5, 4, 1].map(idOf));
      });

      it('the same by any combination of filters as by looking at every call', async () => {
        const ends = ['succeeded', 'failed', 'cancelled', 'succeeded'] as const;
        const progresses = [{ state: 'suspended' }, { state: 'incompatible' }, {}] as const;
        const [tree, parent] = [idOf(10), idOf(11)];

        const calls = Array.from({ length: 60 }, (_, n) => {
          const id = idOf(12 + n);
          const header = { createdAt: 700 + n };
          const target = { function: `f${n % 3}` };
          if (n % 5 === 0) return rootCall(id, { header, target });
          const child = childCall(id, n % 5 === 1 ? parent : tree, tree, header);
          return { ...child, target: { ...child.target, ...target } };
        });
        await commit(rootCall(tree), childCall(parent, tree), ...calls);
        await commit(
          ...calls.flatMap(({ header: { id } }, n) => {
            const end = ends[Math.floor(n / 3) % 7];
            return end ? finished(id, { state: end }) : progressed(id, progresses[n % 4] ?? {});
          }),
        );
        const { rows } = await store.list({}, { limit: 100 });
        const scopes: CallFilter[] = [
          {},
          { roots: true },
          { rootId: tree },
          { rootId: idOf(1) },
          { parentId: tree },
          { parentId: parent, rootId: tree },
          { rootId: tree, roots: true },
        ];
        const states: CallFilter['state'][] = [
          undefined,
          'pending',
          'suspended',
          'incompatible',
          'succeeded',
          'failed',
          ['failed', 'incompatible'],
          ['cancelled', 'suspended'],
          ['pending', 'suspended', 'incompatible'],
          ['incompatible', 'succeeded', 'pending'],
        ];
        for (const scope of scopes) {
          for (const state of states) {
            for (const name of [undefined, 'f1', 'nope']) {
              const filter: CallFilter = { ...scope, state, function: name };
              const found: DispatchId[] = [];
              for (let after: string | undefined, first = true; first || after !== undefined; first = false) {
                const page = await store.list(filter, { limit: 7, after });
                found.push(...idsOf(page.rows));
                after = page.next;
              }
              expect({ filter, found }).toEqual({ filter, found: idsOf(rows.filter((row) => matches(row, filter))) });
            }
          }
        }
      });

      it('nothing from an empty page on', async () => {
        expect(await store.list({ function: 'nope' }, { limit: 2 })).toEqual({ rows: [], next: undefined });
      });
    });

    describe('purges', () => {
      it('finished calls with all that is theirs', async () => {
        await commit(
          rootCall(idOf(1), { target: { input: bytesInput(Buffer.alloc(5000)) } }),
          rootCall(idOf(2)),
          finished(idOf(1)),
        );
        await commit(purged(idOf(1)));
        expect(await store.get(idOf(1))).toBeUndefined();
        expect(await store.input(idOf(1))).toBeUndefined();
        expect(await store.results([idOf(1)])).toEqual([undefined]);
        await commit(rootCall(idOf(1)));
        expect(idsOf((await store.recover()).calls)).toEqual([idOf(2), idOf(1)]);
        expect(await store.input(idOf(1))).toBeUndefined();
      });

      it('nothing where there is nothing', async () => {
        await commit(purged(idOf(1), idOf(2)), purged());
      });

      it('no call that has not finished', async () => {
        await commit(rootCall(idOf(1)), rootCall(idOf(2)), finished(idOf(1)));
        await refused(purged(idOf(1), idOf(2)));
        expect(await store.get(idOf(1))).toBeDefined();
      });

      it('a call that is created again in the same commit', async () => {
        await commit(rootCall(idOf(1)), rootCall(idOf(2)), finished(idOf(1)));
        await commit(purged(idOf(1)), rootCall(idOf(1), { progress: { attempt: 7 } }));
        expect((await store.recover()).calls.map((call) => [call.header.id, call.progress.attempt])).toEqual([
          [idOf(2), 0],
          [idOf(1), 7],
        ]);
      });
    });

    describe('finds what can be purged', () => {
      beforeEach(async () => {
        await commit(
          rootCall(idOf(1)),
          childCall(idOf(11), idOf(1)),
          childCall(idOf(12), idOf(11), idOf(1)),
          rootCall(idOf(2)),
          rootCall(idOf(3)),
          childCall(idOf(31), idOf(3)),
          rootCall(idOf(4)),
          rootCall(idOf(5)),
        );
        await commit(
          ...[11, 12].map((n) => finished(idOf(n), { finishedAt: 10 })),
          finished(idOf(1), { finishedAt: 300 }),
          finished(idOf(2), { finishedAt: 200 }),
          finished(idOf(3), { finishedAt: 100 }),
          finished(idOf(4), { finishedAt: 400 }),
        );
      });

      it('trees that have finished wholly, oldest first, the root last', async () => {
        expect(await store.finishedBefore(400, 100)).toEqual([idOf(2), idOf(11), idOf(12), idOf(1)]);
        await commit(finished(idOf(31), { finishedAt: 500 }));
        expect(await store.finishedBefore(400, 100)).toEqual([idOf(31), idOf(3), idOf(2), idOf(11), idOf(12), idOf(1)]);
        expect(await store.finishedBefore(100, 100)).toEqual([]);
      });

      it('in slices, until nothing is left', async () => {
        await commit(finished(idOf(31), { finishedAt: 500 }));
        const slices: DispatchId[][] = [];
        for (;;) {
          const ids = await store.finishedBefore(1000, 2);
          if (ids.length === 0) break;
          slices.push(ids);
          await commit(purged(...ids));
        }
        expect(slices).toEqual([[31, 3], [2, 11], [12, 1], [4]].map((slice) => slice.map(idOf)));
        expect(idsOf((await store.list({}, { limit: 10 })).rows)).toEqual([idOf(5)]);
      });
    });

    describe('opens and closes', () => {
      it('and keeps all that was committed', async () => {
        await commit(
          rootCall(idOf(1), { target: { input: stringInput('in') } }),
          appended(idOf(1), 'round'),
          rootCall(idOf(2)),
          finished(idOf(2)),
        );
        const before = await Promise.all([
          store.get(idOf(1)),
          store.get(idOf(2)),
          store.input(idOf(1)),
          store.journal(idOf(1)),
          store.results([idOf(2)]),
        ]);
        await reopen();
        const after = await Promise.all([
          store.get(idOf(1)),
          store.get(idOf(2)),
          store.input(idOf(1)),
          store.journal(idOf(1)),
          store.results([idOf(2)]),
        ]);
        expect(after).toEqual(before);
        await crash();
        expect(await store.get(idOf(1))).toEqual(before[0]);
      });

      it('not twice', async () => {
        await expect(store.open()).rejects.toBeInstanceOf(StoreError);
      });

      it('and does nothing while it is closed', async () => {
        await store.close();
        await expect(store.commit([rootCall(idOf(1))])).rejects.toBeInstanceOf(StoreError);
        await expect(store.get(idOf(1))).rejects.toBeInstanceOf(StoreError);
        await expect(store.list({}, { limit: 1 })).rejects.toBeInstanceOf(StoreError);
        await expect(store.recover()).rejects.toBeInstanceOf(StoreError);
        expect(() => {
          store.markRunning([idOf(1)], []);
        }).toThrow(StoreError);
        await store.open();
        expect(await store.get(idOf(1))).toBeUndefined();
      });
    });
  });
}
