/**
 * What calls cost on PostgreSQL, on a server of its own that syncs to disk:
 *
 *     node --import ./test/support/ts-loader.mjs test/bench/postgres.bench.ts [store calls rows latency bloat] [--calls 10000] [--rows 1000000]
 *
 * store    the store alone, 1,000 mutations in a commit, and one
 * calls    trivial calls of one and of two applications, each in a process of its own, all results seen; median of 3
 * rows     the same of one application, with few finished calls in the store and with --rows
 * latency  one call on an idle system: run where it is dispatched, and run in another process than it is dispatched in
 * bloat    how large the table is after --rows calls of three versions each, and after all were removed and made again
 */
import { parseArgs } from 'node:util';
import pg from 'pg';
import { PostgresStore } from '../../lib/scheduler/index.js';
import type { Mutation } from '../../lib/scheduler/store.js';
import { finished, idOf, progressed, rootCall, stringInput } from '../contract/calls.js';
import { PostgresServer } from '../support/postgres.server.js';
import { median, percentile, repeat, round } from './calls/measure.js';
import { Application } from './postgres/applications.js';
import { sizeOfCalls, written } from './postgres/tables.js';

const BATCH = 1_000;
const PARTS = { store: benchStore, calls: benchCalls, rows: benchRows, latency: benchLatency, bloat: benchBloat };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { calls: { type: 'string', default: '10000' }, rows: { type: 'string', default: '1000000' } },
});
const [CALLS, ROWS] = [Number(values.calls), Number(values.rows)];
const input = stringInput('https://example.com/a/path');

const server = await PostgresServer.start('-c fsync=on');
const client = new pg.Client(server.url);
await client.connect();
try {
  const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
  console.log(`Node ${process.version}, PostgreSQL ${rows[0]?.server_version}`);
  for (const [name, part] of Object.entries(PARTS)) {
    if (positionals.length === 0 || positionals.includes(name)) await part();
  }
} finally {
  await client.end();
  await server.stop();
}

async function benchStore(): Promise<void> {
  await measure('insert', (id) => rootCall(id, { target: { input } }));
  await measure('progress', (id) => progressed(id, { state: 'suspended' }));
  await measure('progress again', (id) => progressed(id, { state: 'suspended', attempt: 1 }));
  await measure('finish', (id) => finished(id));
  const store = await openStore('store');
  const single = 300;
  const started = performance.now();
  for (let n = 0; n < single; n++) await store.commit([rootCall(idOf(CALLS + n))]);
  console.log(`store · one call in a commit: ${((performance.now() - started) / single).toFixed(2)} ms`);
  await store.close();
}

async function measure(what: string, mutation: (id: string) => Mutation): Promise<void> {
  const store = await openStore('store');
  const before = await written(client, 'store');
  const [started, usage] = [performance.now(), process.cpuUsage()];
  await commitAll(store, CALLS, mutation);
  const wall = performance.now() - started;
  const { user, system } = process.cpuUsage(usage);
  await store.close();
  const after = await written(client, 'store');
  const each = (value: number): string => (value / CALLS).toFixed(2);
  console.log(
    `store · ${what}: ${Math.round((CALLS / wall) * 1000)}/s, ${each(user + system)} µs of our processor, ` +
      `${each(after.rows - before.rows)} rows (${each(after.hot - before.hot)} HOT), ${each(after.walBytes - before.walBytes)} bytes of WAL each`,
  );
}

async function benchCalls(): Promise<void> {
  for (const count of [1, 2]) {
    const schema = `calls${count}`;
    const url = `${server.url}&schema=${schema}`;
    const applications: Application[] = [];
    for (let n = 0; n < count; n++) applications.push(await Application.start(url));
    const run = (): Promise<number> => rateOf(applications);
    await run();
    const before = await written(client, schema);
    const rates = await repeat(3, run);
    const after = await written(client, schema);
    const calls = 3 * CALLS * count;
    await Promise.all(applications.map((application) => application.stop()));
    console.log(
      `calls · ${count} application${count === 1 ? '' : 's'}: ${Math.round(median(rates))}/s in all (${rates.map(Math.round).join(', ')}); ` +
        `for each call ${round((after.rows - before.rows) / calls)} rows, ${round((after.transactions - before.transactions) / calls, 4)} ` +
        `transactions, ${Math.round((after.walBytes - before.walBytes) / calls)} bytes of WAL`,
    );
  }
}

/** Calls per second of all of them together, where each dispatches as many. */
async function rateOf(applications: readonly Application[]): Promise<number> {
  const started = performance.now();
  await Promise.all(applications.map((application) => application.calls(CALLS)));
  return (applications.length * CALLS * 1000) / (performance.now() - started);
}

async function benchRows(): Promise<void> {
  const url = `${server.url}&schema=rows`;
  const application = await Application.start(url);
  await rateOf([application]);
  const empty = await repeat(3, () => rateOf([application]));
  const store = await openStore('rows');
  for (let first = 0; first < ROWS; first += BATCH) {
    await store.commit(
      Array.from({ length: BATCH }, (_, n) => idOf(first + n)).flatMap((id) => [
        rootCall(id, { target: { input } }),
        finished(id),
      ]),
    );
  }
  await store.close();
  const full = await repeat(3, () => rateOf([application]));
  await application.stop();
  const { calls, tableBytes, indexBytes } = await sizeOfCalls(client, 'rows');
  console.log(
    `rows · few: ${Math.round(median(empty))}/s, ${calls}: ${Math.round(median(full))}/s (${percent(median(full), median(empty))}); ` +
      `${Math.round(tableBytes / calls)} bytes in the table and ${Math.round(indexBytes / calls)} in indexes for each`,
  );
}

async function benchLatency(): Promise<void> {
  const url = `${server.url}&schema=latency`;
  const application = await Application.start(url);
  const here = (await application.singles(220)).slice(20);
  const dispatcher = await Application.start(url, { runs: false });
  const there = (await dispatcher.singles(220)).slice(20);
  await Promise.all([application.stop(), dispatcher.stop()]);
  for (const [what, times] of [
    ['in one process', here],
    ['dispatched in one process, run in another', there],
  ] as const) {
    console.log(
      `latency · ${what}: p50 ${round(percentile(times, 50))} ms, p99 ${round(percentile(times, 99))} ms (commit of one call: see store)`,
    );
  }
}

async function benchBloat(): Promise<void> {
  const report = async (when: string): Promise<void> => {
    const { calls, dead, tableBytes, indexBytes } = await sizeOfCalls(client, 'bloat');
    console.log(
      `bloat · ${when}: ${calls} calls, ${round(tableBytes / 2 ** 20, 1)} MB of table, ${round(indexBytes / 2 ** 20, 1)} MB of indexes, ${dead} dead rows`,
    );
  };
  const store = await openStore('bloat');
  const fill = async (offset: number): Promise<void> => {
    for (let first = 0; first < ROWS; first += BATCH) {
      const ids = Array.from({ length: BATCH }, (_, n) => idOf(offset + first + n));
      await store.commit(ids.map((id) => rootCall(id, { target: { input } })));
      await store.commit(ids.map((id) => progressed(id, { state: 'suspended' })));
      await store.commit(ids.map((id) => finished(id)));
    }
  };
  const remove = async (offset: number): Promise<void> => {
    for (let first = 0; first < ROWS; first += BATCH) {
      const ids = Array.from({ length: BATCH }, (_, n) => idOf(offset + first + n));
      await store.commit([{ type: 'purge', ids }]);
    }
  };
  await fill(0);
  await report('made');
  await remove(0);
  await report('removed');
  await fill(ROWS);
  await report('made again');
  await store.close();
}

async function openStore(schema: string): Promise<PostgresStore> {
  const store = new PostgresStore(`${server.url}&schema=${schema}`);
  await store.open();
  await store.recover();
  return store;
}

async function commitAll(store: PostgresStore, count: number, mutation: (id: string) => Mutation): Promise<void> {
  for (let first = 0; first < count; first += BATCH) {
    await store.commit(Array.from({ length: BATCH }, (_, n) => mutation(idOf(first + n))));
  }
}

function percent(value: number, base: number): string {
  const difference = (value / base - 1) * 100;
  return `${difference < 0 ? '−' : '+'}${Math.abs(difference).toFixed(0)} %`;
}
