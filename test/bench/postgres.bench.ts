/**
 * What calls cost on PostgreSQL, on a server of its own that syncs to disk: in the store alone, 1,000 mutations in a commit,
 * and through one and two schedulers.
 *
 *     node --import ./test/support/ts-loader.mjs test/bench/postgres.bench.ts [calls]
 */
import pg from 'pg';
import { PostgresStore } from '../../lib/scheduler/index.js';
import type { Mutation } from '../../lib/scheduler/store.js';
import { finished, idOf, progressed, rootCall, stringInput } from '../contract/calls.js';
import { Member } from '../support/fleet.js';
import { PostgresServer } from '../support/postgres.server.js';
import { exit, LOCAL, text } from '../unit/scheduler/world.js';

const CALLS = Number(process.argv[2] ?? 50_000);
const BATCH = 1_000;

const server = await PostgresServer.start('-c fsync=on');
const client = new pg.Client(server.url);
await client.connect();
try {
  const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
  console.log(`Node ${process.version}, PostgreSQL ${rows[0]?.server_version}, ${CALLS} calls, ${BATCH} in a commit\n`);
  await benchStore();
  await benchSchedulers(1);
  await benchSchedulers(2);
} finally {
  await client.end();
  await server.stop();
}

async function benchStore(): Promise<void> {
  const input = stringInput('https://example.com/a/path');
  await measure('insert', (id) => rootCall(id, { target: { input } }));
  await measure('progress', (id) => progressed(id, { state: 'suspended' }));
  await measure('progress again', (id) => progressed(id, { state: 'suspended', attempt: 1 }));
  await measure('finish', (id) => finished(id));
  const store = await openStore();
  const single = 300;
  const started = performance.now();
  for (let n = 0; n < single; n++) await store.commit([rootCall(idOf(CALLS + n))]);
  console.log(`  one call in a commit: ${((performance.now() - started) / single).toFixed(2)} ms`);
  const marking = performance.now();
  for (let n = 0; n < 10_000; n++) store.markRunning([idOf(n + 1)], [idOf(n)]);
  console.log(`  markRunning: ${((performance.now() - marking) / 10).toFixed(2)} µs\n`);
  await store.close();
}

async function openStore(): Promise<PostgresStore> {
  const store = new PostgresStore(`${server.url}&schema=store`);
  await store.open();
  await store.recover();
  return store;
}

async function measure(what: string, mutation: (id: string) => Mutation): Promise<void> {
  const store = await openStore();
  const before = await written('store');
  const [started, usage] = [performance.now(), process.cpuUsage()];
  for (let first = 0; first < CALLS; first += BATCH) {
    await store.commit(Array.from({ length: BATCH }, (_, n) => mutation(idOf(first + n))));
  }
  const wall = performance.now() - started;
  const { user, system } = process.cpuUsage(usage);
  await store.close();
  const after = await written('store');
  const each = (value: number): string => (value / CALLS).toFixed(2);
  console.log(
    `  ${what}: ${Math.round((CALLS / wall) * 1000)} calls/s, ${each(user + system)} µs of our processor, ` +
      `${each(after.rows - before.rows)} rows (${each(after.hot - before.hot)} of them HOT), ` +
      `${each(after.wal - before.wal)} bytes of WAL for each call`,
  );
}

/** Trivial calls, dispatched 1,000 at a time and run to their ends. */
async function benchSchedulers(count: number): Promise<void> {
  const url = `${server.url}&schema=fleet${count}`;
  const options = { store: { lease: 15_000 } };
  const functions = { echo: () => exit('done') };
  const members = await Promise.all(Array.from({ length: count }, () => Member.start(url, functions, options)));
  const [dispatcher] = members;
  if (dispatcher === undefined) return;
  const input = text('https://example.com/a/path');
  const run = async (calls: number): Promise<void> => {
    const outcomes: Promise<unknown>[] = [];
    for (let first = 0; first < calls; first += BATCH) {
      const batch = Array.from({ length: Math.min(BATCH, calls - first) }, () => ({
        endpoint: LOCAL,
        function: 'echo',
        input,
      }));
      const ids = await dispatcher.scheduler.dispatch(batch);
      outcomes.push(...ids.map((id) => dispatcher.scheduler.wait(id)));
    }
    await Promise.all(outcomes);
  };
  await run(2 * BATCH);
  const [started, usage] = [performance.now(), process.cpuUsage()];
  await run(CALLS);
  const wall = performance.now() - started;
  const { user, system } = process.cpuUsage(usage);
  await Promise.all(members.map((member) => member.stop()));
  const after = await written(`fleet${count}`);
  const calls = CALLS + 2 * BATCH;
  console.log(
    `  ${count} scheduler${count === 1 ? '' : 's in one process'}: ${Math.round((CALLS / wall) * 1000)} calls/s, ` +
      `${((user + system) / CALLS).toFixed(1)} µs of our processor, ${(after.rows / calls).toFixed(2)} rows for each call; ` +
      `run by each: ${members.map(({ runs }) => runs.length).join(', ')}`,
  );
}

async function written(schema: string): Promise<{ rows: number; hot: number; wal: number }> {
  // Sessions hand in their counts when they end, a little later than their clients.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const { rows } = await client.query<{ rows: string; hot: string; wal: string }>(
    `SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) AS rows, sum(n_tup_hot_upd) AS hot, pg_current_wal_lsn() - '0/0' AS wal
     FROM pg_stat_user_tables WHERE schemaname = $1`,
    [schema],
  );
  const [row] = rows;
  return { rows: Number(row?.rows), hot: Number(row?.hot), wal: Number(row?.wal) };
}
