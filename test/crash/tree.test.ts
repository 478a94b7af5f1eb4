import { afterEach, expect, test } from '@jest/globals';
import Database from 'libsql';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { seeded } from '../support/seeded.js';
import { TypeScriptProcess } from '../support/typescript-process.js';

const KILLS = 20;
/** A root has 4 branches of 5 leaves: 50 roots and their branches alone are 250 calls. */
const ROOTS_AT_FIRST = 50;
/** And so many more at each later start. */
const ROOTS_AT_ONCE = 4;

const folder = mkdtempSync(join(tmpdir(), 'dispatch-crash-'));
const store = join(folder, 'calls.db');
const effects = join(folder, 'effects');
let running: TypeScriptProcess | undefined;
afterEach(async () => {
  await running?.kill();
  rmSync(folder, { recursive: true, force: true });
});

const readEffects = (): string[] => readFileSync(effects, 'utf8').split('\n').filter(Boolean);

/** Looks into the store while no process has it. */
function inspect<T>(look: (db: Database.Database) => T): T {
  const db = new Database(store);
  try {
    return look(db);
  } finally {
    db.close();
  }
}

test('200 calls on three levels survive 20 kills: nothing lost, nothing recorded twice, no finished effect repeated', async () => {
  const random = seeded(20_251);
  const acknowledged = new Map<number, string>();
  const noteAcks = (lines: readonly string[]): void => {
    for (const line of lines) {
      const [word, n, id] = line.split(' ');
      if (word === 'ack' && id !== undefined) acknowledged.set(Number(n), id);
    }
  };
  writeFileSync(effects, '');
  let next = 0;
  let inFlightMost = 0;
  const finishedLeaves: { ids: Set<string>; effectsBefore: number }[] = [];

  for (let kill = 0; kill < KILLS; kill++) {
    const dispatched = kill === 0 ? ROOTS_AT_FIRST : ROOTS_AT_ONCE;
    running = new TypeScriptProcess(new URL('tree.app.ts', import.meta.url), [
      store,
      effects,
      String(next),
      String(dispatched),
    ]);
    await running.until('ready');
    // The first one lives until calls of all three levels are in flight.
    while (kill === 0 && readEffects().length < ROOTS_AT_FIRST) await delay(5);
    await delay(random() * 500);
    noteAcks(await running.kill());
    while (acknowledged.has(next)) next++;

    inspect((db) => {
      if (kill === 0) recordEachFinish(db);
      inFlightMost = Math.max(inFlightMost, count(db, 'finished_at IS NULL'));
      const leaves = db.prepare("SELECT id FROM calls WHERE function = 'leaf' AND finished_at IS NOT NULL").all() as {
        id: string;
      }[];
      finishedLeaves.push({ ids: new Set(leaves.map(({ id }) => id)), effectsBefore: readEffects().length });
    });
  }

  running = new TypeScriptProcess(new URL('tree.app.ts', import.meta.url), [store, effects, '0', '0']);
  await running.until('dispatched');
  const results = new Map<string, string>();
  // Roots whose answers the kills cut off are there as well: they have to end like all others.
  const roots = inspect((db) => db.prepare("SELECT id FROM calls WHERE function = 'root'").all() as { id: string }[]);
  expect(roots.map(({ id }) => id)).toEqual(expect.arrayContaining([...acknowledged.values()]));
  for (const { id } of roots) running.write(id);
  running.endInput();
  for (const line of await running.rest()) {
    const [word, id = '', value = ''] = line.split(' ');
    if (word === 'result') results.set(id, value);
  }

  // Every acknowledged root has its result, and the right one.
  expect(results.size).toBe(roots.length);
  expect(acknowledged.size).toBeGreaterThanOrEqual(ROOTS_AT_FIRST);
  const sums = [0, 1, 2, 3].map((branch) => branch * 500 + 10).join(',');
  for (const [n, id] of acknowledged) expect(results.get(id)).toBe(`${n}:${sums}`);
  expect(inFlightMost).toBeGreaterThanOrEqual(200);

  inspect((db) => {
    const recorded = db.prepare('SELECT id, count(*) AS times FROM finishes GROUP BY id HAVING count(*) > 1').all();
    expect(recorded).toEqual([]);
    expect(count(db, 'finished_at IS NULL')).toBe(0);
    expect(count(db, 'status <> 1')).toBe(0);
  });

  // A leaf whose result was in the store when the process was killed did not run again.
  const all = readEffects();
  for (const { ids, effectsBefore } of finishedLeaves) {
    expect(all.slice(effectsBefore).filter((id) => ids.has(id))).toEqual([]);
  }
  const ran = new Set(all);
  inspect((db) => {
    const leaves = db.prepare("SELECT id FROM calls WHERE function = 'leaf'").all() as { id: string }[];
    expect(leaves.filter(({ id }) => !ran.has(id))).toEqual([]);
    expect(leaves).toHaveLength(roots.length * 20);
  });
}, 600_000);

/** Notes, in the transaction itself, each time that a call's result is recorded. */
function recordEachFinish(db: Database.Database): void {
  db.exec(`
    CREATE TABLE finishes (id TEXT NOT NULL);
    INSERT INTO finishes SELECT id FROM calls WHERE finished_at IS NOT NULL;
    CREATE TRIGGER finish_recorded AFTER UPDATE OF finished_at ON calls WHEN NEW.finished_at IS NOT NULL
      BEGIN INSERT INTO finishes VALUES (NEW.id); END;
  `);
}

function count(db: Database.Database, condition: string): number {
  return (db.prepare(`SELECT count(*) AS n FROM calls WHERE ${condition}`).get() as { n: number }).n;
}
