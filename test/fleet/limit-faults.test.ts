import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../support/fleet.js';
import { TestDatabase } from '../support/postgres.js';
import { TypeScriptProcess } from '../support/typescript-process.js';

const LEASE = 2_000;
const LIMIT = 2;

let database: TestDatabase;
let folder: string;
let effects: string;
let url: string;
const processes: TypeScriptProcess[] = [];
beforeAll(async () => {
  database = await TestDatabase.open();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dispatch-limits-'));
  effects = join(folder, 'effects');
  writeFileSync(effects, '');
  url = database.newUrl();
});
afterEach(async () => {
  await Promise.all(processes.splice(0).map((worker) => worker.kill()));
  rmSync(folder, { recursive: true, force: true });
});
afterAll(() => database.close());

async function start(): Promise<TypeScriptProcess> {
  const worker = new TypeScriptProcess(new URL('limited.app.ts', import.meta.url), [url, String(LEASE), effects]);
  processes.push(worker);
  await worker.until('ready');
  return worker;
}

/** What the runs did, in order. */
function readEffects(): { type: string; pid: number; run: string }[] {
  const lines = readFileSync(effects, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => {
    const [type = '', pid = '', run = ''] = line.split(' ');
    return { type, pid: Number(pid), run };
  });
}

/** Runs of a process that have begun, and not ended. */
function openRuns(worker: TypeScriptProcess): string[] {
  const open = new Set<string>();
  for (const { type, pid, run } of readEffects()) {
    if (pid !== worker.pid) continue;
    if (type === 'begin') open.add(run);
    else open.delete(run);
  }
  return [...open];
}

/** The most runs that were in flight at the same moment, without these. */
function mostAtOnce(except: readonly string[]): number {
  let [now, most] = [0, 0];
  for (const { type, run } of readEffects()) {
    if (except.includes(run)) continue;
    now += type === 'begin' ? 1 : -1;
    most = Math.max(most, now);
  }
  return most;
}

const runsOf = (worker: TypeScriptProcess): number =>
  readEffects().filter(({ type, pid }) => type === 'begin' && pid === worker.pid).length;

describe('the limit of a function in a fleet', () => {
  it('holds, and is used, when a process is killed that has slots', async () => {
    const [first, second] = [await start(), await start()];
    for (const worker of [first, second]) worker.write('run 100');
    await until(() => runsOf(first) > 0 && runsOf(second) > 0);
    await first.kill();
    const cut = openRuns(first);
    await second.until('done');
    second.write('run 20');
    await second.until('done');
    expect(mostAtOnce(cut)).toBe(LIMIT);
  });

  it('holds when a process is paused for longer than its lease, but for what that had begun', async () => {
    const [first, second] = [await start(), await start()];
    for (const worker of [first, second]) worker.write('run 100');
    await Promise.all([first, second].map((worker) => worker.until('dispatched')));
    await until(() => runsOf(first) > 0);
    // All of its slots are in use then: it is not stopped in the middle of a beginning that nothing is written of yet.
    first.write('hold');
    await until(() => openRuns(first).length > 0);
    await delay(500);
    process.kill(first.pid, 'SIGSTOP');
    const paused = openRuns(first);
    await second.until('done');
    second.write('run 200');
    await second.until('dispatched');
    process.kill(first.pid, 'SIGCONT');
    first.write('go');
    await Promise.all([first, second].map((worker) => worker.until('done')));
    expect(mostAtOnce(paused)).toBe(LIMIT);
  });
});
