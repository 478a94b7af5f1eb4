import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../lib/scheduler/index.js';
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
  await recordEachFinish();
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

/** Notes each end of a call that is stored, with the process that had it. */
async function recordEachFinish(): Promise<void> {
  const schema = schemaOf(url);
  await database.query(`CREATE TABLE ${schema}.finishes (id text, owner bigint)`);
  await database.query(`
    CREATE FUNCTION ${schema}.note_finish() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO ${schema}.finishes VALUES (NEW.id, NEW.owner); RETURN NULL; END $$`);
  await database.query(`
    CREATE TRIGGER finished AFTER INSERT OR UPDATE ON ${schema}.calls
    FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL) EXECUTE FUNCTION ${schema}.note_finish()`);
}

async function finishes(): Promise<{ id: string; owner: number }[]> {
  const rows = await database.query(`SELECT id, owner::int AS owner FROM ${schemaOf(url)}.finishes`);
  return rows.map(({ id, owner }) => ({ id: String(id), owner: Number(owner) }));
}

async function expectEachFinishedOnce(calls: number): Promise<void> {
  const all = (await finishes()).map(({ id }) => id);
  expect(new Set(all).size).toBe(calls);
  expect(all).toHaveLength(calls);
}

/** The trees have made some of their calls, and not all. */
async function untilHalfWay(): Promise<void> {
  await until(async () => (await finishes()).length > ROOTS * 3);
}

const CALLS_OF_A_ROOT = 13;

describe('a fleet on PostgreSQL', () => {
  it('goes on with the calls of a process that was killed, without a restart', async () => {
    const [first, second] = [await start(), await start()];
    const ids = await dispatch(first, 0, ROOTS);
    await untilHalfWay();
    await first.kill();
    const doneAtKill = new Set((await finishes()).map(({ id }) => id));
    const before = readEffects().filter((id) => doneAtKill.has(id));

    expect(await resultsOf(second, ids)).toEqual(expected(ids));
    await expectEachFinishedOnce(ROOTS * CALLS_OF_A_ROOT);
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
    const byPaused = (await finishes()).filter(({ owner }) => owner === paused).length;

    process.kill(first.pid, 'SIGCONT');
    // It is told that others have its calls, and does new ones as a new process.
    const more = await dispatch(first, ROOTS, 3);
    expect(await resultsOf(first, more)).toEqual(expected(more));
    expect(await resultsOf(first, ids)).toEqual(expected(ids));
    await expectEachFinishedOnce((ROOTS + 3) * CALLS_OF_A_ROOT);
    expect((await finishes()).filter(({ owner }) => owner === paused)).toHaveLength(byPaused);
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
    await expectEachFinishedOnce(2 * ROOTS * CALLS_OF_A_ROOT);
  });
});
