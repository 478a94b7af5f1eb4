import { describe, expect, it } from '@jest/globals';
import type { PostgresStore } from '../../lib/scheduler/index.js';
import type { ClaimableFunctions, Mutation } from '../../lib/scheduler/store.js';
import { TestStores } from '../support/test-stores.js';
import { idOf, rootCall, targetOf } from './calls.js';

const ENDPOINT = 'local';
const stores = TestStores.use();
const open = () => stores.open();
let created = 0;

interface FreeRoots {
  readonly count: number;
  readonly of: string;
  readonly endpoint?: string;
  readonly priority?: number;
}

async function create(store: PostgresStore, { count, of: name, endpoint = ENDPOINT, priority = 0 }: FreeRoots) {
  const roots = Array.from({ length: count }, (): Mutation => {
    const root = rootCall(idOf(++created), { target: targetOf({ endpoint, function: name }) });
    return { ...root, header: { ...root.header, priority }, free: true };
  });
  for (let first = 0; first < count; first += 5_000) await store.commit(roots.slice(first, first + 5_000));
}

const having = (...names: string[]): ClaimableFunctions => ({
  endpoints: [ENDPOINT],
  functions: names.map((name) => ({ endpoint: ENDPOINT, function: name })),
});

/** What is claimed, counted by function, and by priority where there are several. */
async function claim(store: PostgresStore, limit: number, functions: ClaimableFunctions) {
  const { calls } = await store.claim(limit, functions);
  const counts: Record<string, number> = {};
  for (const { header, target } of calls) {
    const name = header.priority === 0 ? target.function : `${target.function} ${header.priority}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

describe('claims of free roots', () => {
  it('have equal parts for functions, however many of one wait', async () => {
    const store = await open();
    await create(store, { count: 20_000, of: 'flood' });
    await create(store, { count: 3, of: 'single' });
    expect(await claim(store, 10, having('flood', 'single'))).toEqual({ flood: 5, single: 3 });
  });

  it('have equal parts for endpoints, and for the functions of each', async () => {
    const store = await open();
    for (const name of ['a', 'b', 'c']) await create(store, { count: 100, of: name, endpoint: 'https://many' });
    await create(store, { count: 100, of: 'd', endpoint: 'https://one' });
    expect(await claim(store, 60, { endpoints: [], functions: [] })).toEqual({ a: 10, b: 10, c: 10, d: 30 });
  });

  it('leave one in ten to lower priorities', async () => {
    const store = await open();
    await create(store, { count: 200, of: 'f', priority: 5 });
    await create(store, { count: 200, of: 'f', priority: 1 });
    await create(store, { count: 200, of: 'g' });
    const counts = await claim(store, 100, having('f', 'g'));
    expect(counts).toEqual({ 'f 5': 90, 'f 1': 5, g: 5 });
  });

  it('take urgent ones first when there is room for few', async () => {
    const store = await open();
    await create(store, { count: 5_000, of: 'f' });
    await create(store, { count: 1, of: 'f', priority: 10 });
    let claims = 0;
    // All but one in ten such claims begin with the highest priority.
    while ((await claim(store, 1, having('f')))['f 10'] === undefined) claims += 1;
    expect(claims).toBeLessThan(50);
  });

  it('take the oldest of a function first', async () => {
    const store = await open();
    const first = created + 1;
    await create(store, { count: 30, of: 'f' });
    const { calls } = await store.claim(10, having('f'));
    expect(calls.map(({ header }) => header.id)).toEqual(Array.from({ length: 10 }, (_, n) => idOf(first + n)));
  });

  it('take no more of a function than was asked for', async () => {
    const store = await open();
    await create(store, { count: 50, of: 'limited' });
    await create(store, { count: 50, of: 'free' });
    const [limited, free] = having('limited', 'free').functions;
    if (limited === undefined || free === undefined) throw new Error('two functions');
    const functions = { endpoints: [ENDPOINT], functions: [{ ...limited, most: 2 }, free] };
    expect(await claim(store, 40, functions)).toEqual({ limited: 2, free: 20 });
    expect(await claim(store, 40, { ...functions, functions: [{ ...limited, most: 0 }] })).toEqual({});
  });

  it('take nothing of functions that are not here, and anything of endpoints of which nothing was said', async () => {
    const store = await open();
    for (const name of ['a', 'b', 'z']) await create(store, { count: 2, of: name });
    for (const name of ['x', 'y']) await create(store, { count: 2, of: name, endpoint: 'https://elsewhere' });
    await create(store, { count: 2, of: 'first', endpoint: 'http://a' });
    expect(await claim(store, 100, having('b'))).toEqual({ b: 2, x: 2, y: 2, first: 2 });
    expect(await claim(store, 100, having('b'))).toEqual({});
  });

  it('give each root to one of several processes that claim at the same time', async () => {
    const members = await Promise.all([open(), open(), open()]);
    await create(await open(), { count: 300, of: 'f' });
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
    await create(store, { count: 10, of: 'left' });
    expect(await claim(store, 30, having('left'))).toEqual({ left: 10 });
    await former.close();
    expect(await claim(store, 30, having('left'))).toEqual({ left: 10 });
  });
});
