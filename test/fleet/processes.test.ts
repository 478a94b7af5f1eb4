import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../lib/scheduler/index.js';
import { Finishes } from '../support/finishes.js';
import { until } from '../support/fleet.js';
import { schemaOf, TestDatabase } from '../support/postgres.js';
import { TypeScriptProcess } from '../support/typescript-process.js';

const LEASE = 3_000;
const PARENTS = 8;

let database: TestDatabase;
let url: string;
let folder: string;
let effects: string;
let finishes: Finishes;
/** All tests share them: two that have the functions of parents, and one that has what parents call. */
let holder: TypeScriptProcess;
let idle: TypeScriptProcess;
let away: TypeScriptProcess;
const processes: TypeScriptProcess[] = [];

beforeAll(async () => {
  database = await TestDatabase.open();
  url = database.newUrl();
  await migrate(url);
  finishes = await Finishes.record(database, url);
  folder = mkdtempSync(join(tmpdir(), 'dispatch-processes-'));
  effects = join(folder, 'effects');
  [holder, idle, away] = await Promise.all([start('here'), start('here'), start('away')]);
});
beforeEach(() => writeFileSync(effects, ''));
afterAll(async () => {
  await Promise.all(processes.map((application) => application.kill()));
  rmSync(folder, { recursive: true, force: true });
  await database.close();
});

async function start(place: 'here' | 'away'): Promise<TypeScriptProcess> {
  const args = [url, String(LEASE), effects, place];
  const application = new TypeScriptProcess(new URL('processes.app.ts', import.meta.url), args);
  processes.push(application);
  await application.until('ready');
  return application;
}

/** What functions did, in order. */
function readEffects(): { type: string; pid: number; id: string }[] {
  const lines = readFileSync(effects, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => {
    const [type = '', pid = '', id = ''] = line.split(' ');
    return { type, pid: Number(pid), id };
  });
}

/** What these calls did, in any order: the process and the call. */
function effectsOf(what: 'begins' | 'goes-on', ids: ReadonlyMap<string, number>): string[] {
  const these = readEffects().filter(({ type, id }) => type === what && ids.has(id));
  return these.map(({ pid, id }) => `${pid} ${id}`).sort();
}

let dispatched = 0;

/** Ids and numbers of parents that the holder has. */
async function dispatchParents(): Promise<Map<string, number>> {
  const ids = new Map<string, number>();
  while (ids.size < PARENTS) {
    const n = dispatched++;
    holder.write(`dispatch ${n}`);
    ids.set((await holder.until('ack')).slice('ack '.length), n);
  }
  return ids;
}

async function resultsOf(by: TypeScriptProcess, ids: ReadonlyMap<string, number>): Promise<Map<string, string>> {
  for (const id of ids.keys()) by.write(`wait ${id}`);
  const results = new Map<string, string>();
  while (results.size < ids.size) {
    const [, id = '', value = ''] = (await by.until('result')).split(' ');
    results.set(id, value);
  }
  return results;
}

const expected = (ids: ReadonlyMap<string, number>): Map<string, string> =>
  new Map([...ids].map(([id, n]) => [id, `${n}:${n * 2}:${n * 2}`]));
const eachBy = ({ pid }: TypeScriptProcess, ids: ReadonlyMap<string, number>): string[] =>
  [...ids.keys()].map((id) => `${pid} ${id}`).sort();

/** Parents that the holder has begun, and that wait for calls which do not end before `go`. */
async function suspendedParents(): Promise<Map<string, number>> {
  away.write('hold');
  await away.until('held');
  const ids = await dispatchParents();
  await until(() => readEffects().filter(({ type, pid }) => type === 'begins' && pid === away.pid).length === PARENTS);
  return ids;
}

/** The row of a process as it is, or was last. */
async function rowOf({ pid }: TypeScriptProcess): Promise<Record<string, unknown>> {
  const [row] = await database.query(
    `SELECT id::int AS id, ended_at < lease_until AS left FROM ${schemaOf(url)}.processes WHERE name LIKE $1 ORDER BY id DESC`,
    [`% pid ${pid}`],
  );
  return row ?? {};
}

describe('one idempotency key that processes dispatch at the same moment', () => {
  const ROUNDS = 10;
  /** What each process says. */
  async function race(key: string, inputs: readonly string[]): Promise<string[][]> {
    // Time for the line to arrive.
    const time = Date.now() + 20;
    return Promise.all(
      processes.map(async (application, n) => {
        application.write(`race ${key} ${inputs[n]} ${time}`);
        for (;;) {
          const [outcome = '', its = '', what = ''] = ((await application.line()) ?? 'ended').split(' ');
          if (outcome === 'ended' || its === key) return [outcome, what];
        }
      }),
    );
  }

  it('is one call, with one id and one run', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const outcomes = await race(`same-${round}`, ['same', 'same', 'same']);
      const [[, id = ''] = []] = outcomes;
      expect(outcomes).toEqual(processes.map(() => ['made', id]));
      const ids = new Map([[id, round]]);
      for (const application of processes) {
        expect(await resultsOf(application, ids)).toEqual(new Map([[id, 'same']]));
      }
      expect(effectsOf('begins', ids)).toHaveLength(1);
    }
  });

  it('is an error for all but the first where inputs differ', async () => {
    const inputs = ['Ada', 'Bob', 'Cleo'];
    for (let round = 0; round < ROUNDS; round++) {
      const outcomes = await race(`other-${round}`, inputs);
      const first = outcomes.findIndex(([outcome]) => outcome === 'made');
      expect(outcomes).toEqual(
        inputs.map((_, n) => (n === first ? ['made', expect.any(String)] : ['refused', 'InvalidArgumentError'])),
      );
      const id = outcomes[first]?.[1] ?? '';
      const ids = new Map([[id, round]]);
      expect(await resultsOf(idle, ids)).toEqual(new Map([[id, inputs[first]]]));
      expect(effectsOf('begins', ids)).toHaveLength(1);
    }
  });
});

describe('a suspended function of a fleet', () => {
  it('goes on where it is in memory, with no replay, while others have nothing to do', async () => {
    const ids = await dispatchParents();
    expect(await resultsOf(idle, ids)).toEqual(expected(ids));
    expect(effectsOf('begins', ids)).toEqual(eachBy(holder, ids));
    expect(effectsOf('goes-on', ids)).toEqual(eachBy(holder, ids));
  });

  it('goes on elsewhere when its process is paused beyond its lease, and that changes nothing any more', async () => {
    const ids = await suspendedParents();
    const { id: paused } = await rowOf(holder);
    holder.signal('SIGSTOP');
    away.write('go');
    expect(await resultsOf(idle, ids)).toEqual(expected(ids));
    holder.signal('SIGCONT');
    expect(await resultsOf(holder, ids)).toEqual(expected(ids));
    // A call that is made now, under its new number, comes behind all that it might still do for those.
    const more = await dispatchParents();
    expect(await resultsOf(holder, more)).toEqual(expected(more));
    expect(effectsOf('begins', ids)).toEqual([...eachBy(holder, ids), ...eachBy(idle, ids)].sort());
    expect(effectsOf('goes-on', ids)).toEqual(eachBy(idle, ids));
    const ends = (await finishes.all()).filter(({ id }) => ids.has(id));
    expect(ends.map(({ id }) => id).sort()).toEqual([...ids.keys()].sort());
    expect(ends.map(({ owner }) => owner)).not.toContain(paused);
  });

  it('goes on elsewhere as soon as its process ends in order', async () => {
    const ids = await suspendedParents();
    await holder.terminate();
    away.write('go');
    expect(await resultsOf(idle, ids)).toEqual(expected(ids));
    expect(effectsOf('goes-on', ids)).toEqual(eachBy(idle, ids));
    // Its lease had not run out: it has said itself that it ends.
    expect(await rowOf(holder)).toMatchObject({ left: true });
  });
});
