/**
 * What a store costs above its database: 100,000 calls inserted and finished, 1,000 in a commit.
 *
 *     node --import ./test/support/ts-loader.mjs test/bench/store.bench.ts [calls]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryStore, SqliteStore } from '../../lib/scheduler/stores/index.js';
import type { Mutation, Store } from '../../lib/scheduler/store.js';
import { loadDriver } from '../../lib/scheduler/stores/sqlite/driver.choice.js';
import type { SqliteDriverName } from '../../lib/scheduler/stores/sqlite/driver.js';
import { childCall, finished, idOf, progressed, rootCall, stringInput } from '../contract/calls.js';
import { driversHere } from '../support/sqlite.js';

const CALLS = Number(process.argv[2] ?? 100_000);
const BATCH = 1000;

const directory = await mkdtemp(join(tmpdir(), 'store-bench-'));
console.log(
  `Node ${process.version}, ${CALLS} calls, ${BATCH} in a commit; µs of wall time (of the processor) for each call\n`,
);
for (const driver of driversHere) {
  await benchBareLoop(driver);
  await benchStore(`SQLite on ${driver}`, new SqliteStore(join(directory, `${driver}.db`), { driver }));
}
await benchStore('memory', new MemoryStore());
await rm(directory, { recursive: true });

/** The least that two writes of a call can cost: no indexes but that of the id, four columns. */
async function benchBareLoop(name: SqliteDriverName): Promise<void> {
  const driver = await loadDriver(name);
  const connection = driver.open(join(directory, `${name}-bare.db`));
  connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  connection.exec(
    'CREATE TABLE calls (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state INTEGER, input BLOB, result BLOB)',
  );
  const insert = connection.prepare('INSERT INTO calls (id, state, input) VALUES (?, ?, ?)');
  const update = connection.prepare('UPDATE calls SET state = ?, result = ? WHERE id = ?');
  const payload = Buffer.alloc(60, 'x');
  report(`bare loop on ${name}`, [
    ['insert', await inBatches((ids) => transaction(() => ids.forEach((id) => insert.run(id, 0, payload))))],
    ['finish', await inBatches((ids) => transaction(() => ids.forEach((id) => update.run(3, payload, id))))],
  ]);
  connection.close();

  function transaction(action: () => void): void {
    connection.exec('BEGIN IMMEDIATE');
    action();
    connection.exec('COMMIT');
  }
}

async function benchStore(name: string, store: Store): Promise<void> {
  await store.open();
  const input = stringInput('https://example.com/a/path');
  const commit = (mutation: (id: string, n: number) => Mutation) => inBatches((ids) => store.commit(ids.map(mutation)));
  const insert = await commit((id) => rootCall(id, { target: { input } }));
  const progress = await commit((id) => progressed(id, { state: 'suspended' }));
  const recover = await timed(() => store.recover());
  const finish = await commit((id) => finished(id));
  const list = await timed(() => store.list({ function: 'nope' }, { limit: 100 }));
  report(name, [
    ['insert', insert],
    ['finish', finish],
    ['progress', progress],
    ['recover', recover],
    ['list without a hit', list],
    ['purge', await timed(() => purgeAll(store))],
  ]);

  const root = idOf(CALLS * 2);
  await store.commit([rootCall(root)]);
  report(`${name}, children of one root`, [
    ['insert', await commit((id) => childCall(id, root))],
    ['finish', await commit((id, n) => finished(id, { inbox: n + 1 }))],
    ['recover', await timed(() => store.recover())],
    ['list children', await timed(() => store.list({ parentId: root }, { limit: 100 }))],
    ['list tree', await timed(() => store.list({ rootId: root }, { limit: 100 }))],
    [
      'purge',
      await timed(async () => {
        await store.commit([finished(root)]);
        await purgeAll(store);
      }),
    ],
  ]);

  const single = 500;
  const started = performance.now();
  for (let n = 0; n < single; n++) await store.commit([rootCall(idOf(n))]);
  console.log(`  one call in a commit: ${((performance.now() - started) / single).toFixed(3)} ms`);
  const marks = performance.now();
  for (let n = 0; n < 10_000; n++) store.markRunning([idOf(n + 1)], [idOf(n)]);
  console.log(`  markRunning: ${((performance.now() - marks) / 10).toFixed(2)} µs\n`);
  await store.close();
}

async function purgeAll(store: Store): Promise<void> {
  for (;;) {
    const ids = await store.finishedBefore(Number.MAX_SAFE_INTEGER, BATCH);
    if (ids.length === 0) return;
    await store.commit([{ type: 'purge', ids }]);
  }
}

interface Figure {
  readonly wallMs: number;
  readonly processorMs: number;
}

async function inBatches(action: (ids: string[]) => void | Promise<void>): Promise<Figure> {
  const batches = Array.from({ length: CALLS / BATCH }, (_, batch) =>
    Array.from({ length: BATCH }, (_, n) => idOf(batch * BATCH + n)),
  );
  return timed(async () => {
    for (const ids of batches) await action(ids);
  });
}

async function timed(action: () => unknown): Promise<Figure> {
  const [started, usage] = [performance.now(), process.cpuUsage()];
  await action();
  const { user, system } = process.cpuUsage(usage);
  return { wallMs: performance.now() - started, processorMs: (user + system) / 1000 };
}

function report(name: string, figures: [string, Figure][]): void {
  const perCall = (ms: number) => ((ms / CALLS) * 1000).toFixed(1);
  const columns = figures.map(([what, figure]) => `${what} ${perCall(figure.wallMs)} (${perCall(figure.processorMs)})`);
  console.log(`${name}: ${columns.join(' · ')}`);
}
