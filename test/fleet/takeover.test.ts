import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../lib/scheduler/index.js';
import { Finishes } from '../support/finishes.js';
import { until } from '../support/fleet.js';
import { schemaOf, TestDatabase } from '../support/postgres.js';
import { TypeScriptProcess } from '../support/typescript-process.js';

const LEASE = 2_000;
const ROOTS = 20;
/** 0 to 11. */
const SUM = 66;

let database: TestDatabase;
let folder: string;
let effects: string;
let url: string;
let finishes: Finishes;
const processes: TypeScriptProcess[] = [];
beforeAll(async () => {
  database = await TestDatabase.open();
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dispatch-fleet-'));
  effects = join(folder, 'effects');
  writeFileSync(effects, '');
  url = database.newUrl();
  await migrate(url);
  finishes = await Finishes.record(database, url);
});
afterEach(async () => {
  await Promise.all(processes.splice(0).map((worker) => worker.kill()));
  rmSync(folder, { recursive: true, force: true });
});
afterAll(() => database.close());

async function start(): Promise<TypeScriptProcess> {
  const worker = new TypeScriptProcess(new URL('worker.app.ts', import.meta.url), [url, String(LEASE), effects]);
  processes.push(worker);
  await worker.until('ready');
  return worker;
}

/** Dispatches roots, and gives their ids by number once they are acknowledged. */
async function dispatch(worker: TypeScriptProcess, first: number, count: number): Promise<Map<string, number>> {
  for (let n = first; n < first + count; n++) worker.write(`dispatch ${n}`);
  const ids = new Map<string, number>();
  while (ids.size < count) {
    const [, n, id = ''] = (await worker.until('ack')).split(' ');
    ids.set(id, Number(n));
  }
  return ids;
}

async function resultsOf(worker: TypeScriptProcess, ids: ReadonlyMap<string, number>): Promise<Map<string, string>> {
  for (const id of ids.keys()) worker.write(`wait ${id}`);
  const results = new Map<string, string>();
  while (results.size < ids.size) {
    const [, id = '', value = ''] = (await worker.until('result')).split(' ');
    results.set(id, value);
  }
  return results;
}

const expected = (ids: ReadonlyMap<string, number>): Map<string, string> =>
  new Map([...ids].map(([id, n]) => [id, `${n}:${SUM}`]));
const readEffects = (): string[] => readFileSync(effects, 'utf8').split('\n').filter(Boolean);

/** The trees have made some of their calls, and not all. */
async function untilHalfWay(): Promise<void> {
  await until(async () => (await finishes.all()).length > ROOTS * 3);
}

const CALLS_OF_A_ROOT = 13;

describe('a fleet on PostgreSQL', () => {
  it('goes on with the calls of a process that was killed, without a restart', async () => {
    const [first, second] = [await start(), await start()];
    const ids = await dispatch(first, 0, ROOTS);
    await untilHalfWay();
    await first.kill();
    const doneAtKill = new Set((await finishes.all()).map(({ id }) => id));
    const before = readEffects().filter((id) => doneAtKill.has(id));

    expect(await resultsOf(second, ids)).toEqual(expected(ids));
    await finishes.expectEachOnce(ROOTS * CALLS_OF_A_ROOT);
    // What had finished was not run again.
    expect(readEffects().filter((id) => doneAtKill.has(id))).toEqual(before);
  });

  it('takes nothing from a process that was paused beyond its lease, and has it begin again', async () => {
    const [first, second] = [await start(), await start()];
    const ids = await dispatch(first, 0, ROOTS);
    await untilHalfWay();
    process.kill(first.pid, 'SIGSTOP');
    const results = await resultsOf(second, ids);
    expect(results).toEqual(expected(ids));
    const [row] = await database.query(
      `SELECT min(id)::int AS id FROM ${schemaOf(url)}.processes WHERE ended_at IS NOT NULL`,
    );
    const paused = Number(row?.['id']);
    const byPaused = (await finishes.all()).filter(({ owner }) => owner === paused).length;

    process.kill(first.pid, 'SIGCONT');
    // It is told that others have its calls, and does new ones as a new process.
    const more = await dispatch(first, ROOTS, 3);
    expect(await resultsOf(first, more)).toEqual(expected(more));
    expect(await resultsOf(first, ids)).toEqual(expected(ids));
    await finishes.expectEachOnce((ROOTS + 3) * CALLS_OF_A_ROOT);
    expect((await finishes.all()).filter(({ owner }) => owner === paused)).toHaveLength(byPaused);
  });

  it('loses nothing while connections are cut again and again', async () => {
    const [first, second] = [await start(), await start()];
    let isDone = false;
    let cut = 0;
    const cutting = (async () => {
      while (!isDone) {
        // The first time all of them, so that some are cut however fast the work is done.
        const rows = await database.query(`
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE application_name LIKE 'nestjs-dispatch%' AND random() < ${cut === 0 ? 1 : 0.2}`);
        cut += rows.length;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    try {
      const ids = new Map([...(await dispatch(first, 0, ROOTS)), ...(await dispatch(second, ROOTS, ROOTS))]);
      expect(await resultsOf(second, ids)).toEqual(expected(ids));
    } finally {
      isDone = true;
      await cutting;
    }
    expect(cut).toBeGreaterThan(0);
    await finishes.expectEachOnce(2 * ROOTS * CALLS_OF_A_ROOT);
  });
});
