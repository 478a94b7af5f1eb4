import { describe, expect, it } from '@jest/globals';
import type { ClaimableFunctions, Mutation, SharedStore } from '../../lib/scheduler/store.js';
import { idOf, rootCall, targetOf } from './calls.js';
import type { SharedStores } from './shared.contract.js';

const ENDPOINT = 'local';
let created = 0;

interface FreeRoots {
  readonly count: number;
  readonly of: string;
  readonly endpoint?: string;
  readonly priority?: number;
}

/** Makes calls that any process may claim. */
export async function createRoots(
  store: SharedStore,
  { count, of: name, endpoint = ENDPOINT, priority = 0 }: FreeRoots,
) {
  const roots = Array.from({ length: count }, (): Mutation => {
    const root = rootCall(idOf(++created), { target: targetOf({ endpoint, function: name }) });
    return { ...root, header: { ...root.header, priority }, free: true };
  });
  for (let first = 0; first < count; first += 5_000) await store.commit(roots.slice(first, first + 5_000));
}

/** All functions of the endpoint that a process has. */
export const having = (...names: string[]): ClaimableFunctions => ({
  endpoints: [ENDPOINT],
  functions: names.map((name) => ({ endpoint: ENDPOINT, function: name })),
});

/** What is claimed, counted by function, and by priority where there are several. */
export async function claim(store: SharedStore, limit: number, functions: ClaimableFunctions) {
  const { calls } = await store.claim(limit, functions);
  const counts: Record<string, number> = {};
  for (const { header, target } of calls) {
    const name = header.priority === 0 ? target.function : `${target.function} ${header.priority}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** How every store that several processes share has to hand out calls that nobody has. */
export function describeClaims(name: string, stores: SharedStores): void {
  describe(`claims of free roots of ${name}`, () => {
    const open = () => stores.open();

    it('take urgent ones first when there is room for few', async () => {
      const store = await open();
      await createRoots(store, { count: 5_000, of: 'f' });
      await createRoots(store, { count: 1, of: 'f', priority: 10 });
      let claims = 0;
      // All but one in ten such claims begin with the highest priority.
      while ((await claim(store, 1, having('f')))['f 10'] === undefined) claims += 1;
      expect(claims).toBeLessThan(50);
    });

    it('take no more of a function than was asked for', async () => {
      const store = await open();
      await createRoots(store, { count: 50, of: 'limited' });
      await createRoots(store, { count: 50, of: 'free' });
      const [limited, free] = having('limited', 'free').functions;
      if (limited === undefined || free === undefined) throw new Error('two functions');
      const functions = { endpoints: [ENDPOINT], functions: [{ ...limited, most: 2 }, free] };
      expect(await claim(store, 100, functions)).toEqual({ limited: 2, free: 50 });
      expect(await claim(store, 100, { ...functions, functions: [{ ...limited, most: 0 }] })).toEqual({});
    });

    it('take the oldest of a function first', async () => {
      const store = await open();
      const first = created + 1;
      await createRoots(store, { count: 30, of: 'f' });
      const { calls } = await store.claim(10, having('f'));
      expect(calls.map(({ header }) => header.id)).toEqual(Array.from({ length: 10 }, (_, n) => idOf(first + n)));
    });

    it('take nothing of functions that are not here, and anything of endpoints of which nothing was said', async () => {
      const store = await open();
      for (const name of ['a', 'b', 'z']) await createRoots(store, { count: 2, of: name });
      for (const name of ['x', 'y']) await createRoots(store, { count: 2, of: name, endpoint: 'https://elsewhere' });
      await createRoots(store, { count: 2, of: 'first', endpoint: 'http://a' });
      expect(await claim(store, 100, having('b'))).toEqual({ b: 2, x: 2, y: 2, first: 2 });
      expect(await claim(store, 100, having('b'))).toEqual({});
    });

    it('give each root to one of several processes that claim at the same time', async () => {
      const members = await Promise.all([open(), open(), open()]);
      await createRoots(await open(), { count: 300, of: 'f' });
      const claimed: string[] = [];
      await Promise.all(
        members.map(async (store) => {
          for (;;) {
            const { calls } = await store.claim(20, having('f'));
            if (calls.length === 0) return;
            claimed.push(...calls.map(({ header }) => header.id));
          }
        }),
      );
      // Each was turned away only when all that was left was in other hands.
      expect(new Set(claimed).size).toBe(300);
      expect(claimed).toHaveLength(300);
    });

    it('find what a process has left as well as what nobody had', async () => {
      const former = await open();
      const store = await open();
      const owned = Array.from({ length: 10 }, () =>
        rootCall(idOf(++created), { target: targetOf({ endpoint: ENDPOINT, function: 'left' }) }),
      );
      await former.commit(owned);
      await createRoots(store, { count: 10, of: 'left' });
      expect(await claim(store, 30, having('left'))).toEqual({ left: 10 });
      await former.close();
      expect(await claim(store, 30, having('left'))).toEqual({ left: 10 });
    });
  });
}
