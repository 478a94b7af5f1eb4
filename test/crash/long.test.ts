import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TypeScriptProcess } from '../support/typescript-process.js';

let folder: string;
let running: TypeScriptProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dispatch-long-'));
  writeFileSync(join(folder, 'effects'), '');
});
afterEach(async () => {
  await running?.kill();
  rmSync(folder, { recursive: true, force: true });
});

function start(task: string, size: number): TypeScriptProcess {
  running = new TypeScriptProcess(new URL('long.app.ts', import.meta.url), [
    join(folder, 'calls.db'),
    join(folder, 'effects'),
    task,
    String(size),
  ]);
  return running;
}

const effects = (): string[] => readFileSync(join(folder, 'effects'), 'utf8').split('\n').filter(Boolean);

async function killAfter(process: TypeScriptProcess, count: number): Promise<void> {
  await process.until('dispatched');
  while (effects().length < count) await delay(2);
  await process.kill();
}

describe('on the SQLite store, killed twice on the way', () => {
  test('a function of 1,000 sequential awaited calls finishes, and repeats at most the call in flight', async () => {
    await killAfter(start('sequence', 1000), 300);
    await killAfter(start('sequence', 1000), 700);
    expect(await start('sequence', 1000).until('result')).toBe('result 499500');
    const made = effects();
    expect(new Set(made).size).toBe(1000);
    expect(made.length).toBeLessThanOrEqual(1002);
  }, 300_000);

  test('a gather of 5,000 calls finishes, and repeats only calls whose results were not recorded', async () => {
    await killAfter(start('fan', 5000), 1000);
    await killAfter(start('fan', 5000), 3000);
    expect(await start('fan', 5000).until('result')).toBe('result 12497500');
    const made = effects();
    expect(new Set(made).size).toBe(5000);
    // What one commit had not recorded when the process was killed: far less than a whole run.
    expect(made.length).toBeLessThan(10_000);
  }, 300_000);
});

test('a sleep survives a restart, wakes within 1 s of its time, and costs no CPU meanwhile', async () => {
  const first = start('nap', 8000);
  await first.until('dispatched');
  await delay(500);
  await first.kill();
  const second = start('nap', 8000);
  const cpu = Number((await second.until('cpu')).split(' ')[1]);
  const [late, plainTimerLate] = (await second.until('result')).split(' ').slice(1).map(Number);
  expect(late).toBeGreaterThanOrEqual(0);
  // A machine that is busy makes every timer late.
  expect((late ?? Infinity) - (plainTimerLate ?? 0)).toBeLessThan(1000);
  expect(cpu).toBeLessThan(500);
}, 60_000);
