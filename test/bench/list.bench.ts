/**
 * How long pages of `list` take in a store of a million calls, on SQLite or on a PostgreSQL server of its own, by filter: the first page, and the slowest of 50 that follow
 * each other from the newest call, the middle and the oldest on.
 *
 *     node --import ./test/support/ts-loader.mjs test/bench/list.bench.ts [calls] [postgres]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PostgresStore } from '../../lib/scheduler/index.js';
import { SqliteStore } from '../../lib/scheduler/stores/index.js';
import type { CallFilter, CallState, DispatchId, Mutation } from '../../lib/scheduler/store.js';
import { PostgresServer } from '../support/postgres.server.js';
import { childCall, finished, idOf, NOW, rootCall, stringInput, targetOf } from '../contract/calls.js';

const CALLS = Number(process.argv[2] ?? 1_000_000);
const BATCH = 1_000;
const PAGE = 100;
const PAGES = 50;

const input = stringInput('https://example.com/a/path');
const directory = await mkdtemp(join(process.env.BENCH_DIR ?? tmpdir(), 'list-bench-'));
const server = process.argv[3] === 'postgres' ? await PostgresServer.start() : undefined;
const store = server ? new PostgresStore(server.url) : new SqliteStore(join(directory, 'calls.db'));
await store.open();

/** A tenth is one tree; four tenths are trees of 1,000; the rest are single calls. One in a thousand failed. */
const bigTree = idOf(CALLS / 2 + 1);
const someTree = idOf(Math.floor(CALLS * 0.75));
function create(n: number): Mutation {
  const header = { createdAt: NOW + n };
  const target = targetOf({ input, function: n % 50_000 === 7 ? 'rare' : `f${n % 10}` });
  const tree = treeOf(n);
  return tree === undefined || tree === idOf(n)
    ? rootCall(idOf(n), { header, target })
    : { ...childCall(idOf(n), tree, tree, header), target };
}
function treeOf(n: number): DispatchId | undefined {
  if (n <= CALLS / 2) return undefined;
  if (n <= CALLS * 0.6) return bigTree;
  return idOf(n - (n % 1_000));
}
function end(n: number): Mutation | undefined {
  // The oldest hundred and the newest hundred go on, and so do the trees.
  if (n < 100 || n >= CALLS - 100 || treeOf(n) === idOf(n)) return undefined;
  const state = n % 1_000 === 3 ? 'failed' : n % 10_000 === 4 ? 'cancelled' : 'succeeded';
  return finished(idOf(n), { state, finishedAt: NOW + n, inbox: 1 });
}

await timed('create', async (ns) => store.commit(ns.map(create)));
await timed('finish', async (ns) => store.commit(ns.flatMap((n) => end(n) ?? [])));

const filters: [string, CallFilter][] = [
  ['all', {}],
  ...(['pending', 'suspended', 'succeeded', 'failed', 'cancelled'] as CallState[]).map(
    (state): [string, CallFilter] => [`state ${state}`, { state }],
  ),
  ['function', { function: 'f3' }],
  ['function that is rare', { function: 'rare' }],
  ['function that is not there', { function: 'nope' }],
  ['function, failed', { function: 'f3', state: 'failed' }],
  ['function that has no failed call', { function: 'f5', state: 'failed' }],
  ['function that is rare, succeeded', { function: 'rare', state: 'succeeded' }],
  ['roots', { roots: true }],
  ['roots, failed', { roots: true, state: 'failed' }],
  ['roots of a function', { roots: true, function: 'f3' }],
  ['large tree', { rootId: bigTree }],
  ['large tree, failed', { rootId: bigTree, state: 'failed' }],
  ['large tree, function that is rare', { rootId: bigTree, function: 'rare' }],
  ['tree of 1,000', { rootId: someTree }],
  ['tree that is not there', { rootId: idOf(CALLS * 2) }],
  ['children in the large tree', { parentId: bigTree }],
  ['children in the large tree, pending', { parentId: bigTree, state: 'pending' }],
  ['children of 1,000', { parentId: someTree }],
  ['created in the middle', { createdAfter: NOW + CALLS * 0.4, createdBefore: NOW + CALLS * 0.41 }],
  ['created long ago', { createdBefore: NOW + CALLS / 1_000 }],
  ['created long ago, failed', { createdBefore: NOW + CALLS / 100, state: 'failed' }],
  ['created in the middle, roots of a function', { createdBefore: NOW + CALLS * 0.4, roots: true, function: 'f3' }],
  ['created in no time', { createdAfter: NOW + CALLS * 2 }],
];
console.log(
  `\nNode ${process.version}, ${CALLS} calls, pages of ${PAGE}: ms for the first page, and for the slowest of those that follow`,
);
for (const [name, filter] of filters) {
  const first = await page(filter, undefined);
  let slowest = 0;
  let shown = 0;
  for (const start of [undefined, String(Math.floor(CALLS / 2)), String(Math.floor(CALLS / 50))]) {
    for (let [after, n] = [start, 0]; n < PAGES; n++) {
      const { ms, next, count } = await page(filter, after);
      slowest = Math.max(slowest, ms);
      shown += count;
      if (next === undefined) break;
      after = next;
    }
  }
  console.log(
    `${name.padEnd(46)} ${first.ms.toFixed(2).padStart(8)} ${slowest.toFixed(2).padStart(8)}   (${shown} calls)`,
  );
}
await store.close();
await server?.stop();
await rm(directory, { recursive: true });

async function page(filter: CallFilter, after: string | undefined) {
  const started = performance.now();
  const { rows, next } = await store.list(filter, { limit: PAGE, after });
  return { ms: performance.now() - started, next, count: rows.length };
}

async function timed(what: string, action: (ns: number[]) => Promise<void>): Promise<void> {
  const started = performance.now();
  for (let from = 1; from <= CALLS; from += BATCH) {
    await action(Array.from({ length: Math.min(BATCH, CALLS - from + 1) }, (_, index) => from + index));
  }
  const ms = performance.now() - started;
  console.log(`${what}: ${((ms / CALLS) * 1000).toFixed(2)} µs a call`);
}
