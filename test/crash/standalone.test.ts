import { afterEach, expect, test } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { commandJson } from '../support/command-line.js';
import { freePort } from '../support/free-port.js';
import { seeded } from '../support/seeded.js';
import { TypeScriptProcess } from '../support/typescript-process.js';

const ROOTS = 30;
const KILLS = 5;

const folder = mkdtempSync(join(tmpdir(), 'dispatch-standalone-'));
const store = join(folder, 'calls.db');
const effects = join(folder, 'effects');
const running = new Set<TypeScriptProcess>();
afterEach(async () => {
  for (const process of running) await process.kill();
  rmSync(folder, { recursive: true, force: true });
});

async function start(script: string, args: readonly string[], ready: string): Promise<TypeScriptProcess> {
  const started = new TypeScriptProcess(new URL(script, import.meta.url), args);
  running.add(started);
  await started.until(ready);
  return started;
}

async function kill(process: TypeScriptProcess): Promise<string[]> {
  running.delete(process);
  return process.kill();
}

test('calls survive kills of the scheduler and of the application: each acknowledged one ends once, with its result', async () => {
  const random = seeded(20_261);
  writeFileSync(effects, '');
  const [port, appPort] = [await freePort(), await freePort()];
  const serve = () =>
    start('../../lib/cli/main.ts', ['serve', '--dev', '--port', String(port), '--store', store], 'Listening');
  const application = () =>
    start('remote.app.ts', [String(appPort), `http://127.0.0.1:${port}`, effects, String(ROOTS)], 'ready');

  const acknowledged = new Map<number, string>();
  const results = new Map<number, Set<number>>();
  const note = (lines: readonly string[]): void => {
    for (const line of lines) {
      const [word, n, value = ''] = line.split(' ');
      if (word === 'ack') {
        // The same key is the same call, before and after every kill.
        expect(acknowledged.get(Number(n)) ?? value).toBe(value);
        acknowledged.set(Number(n), value);
      }
      if (word === 'result') results.set(Number(n), (results.get(Number(n)) ?? new Set()).add(Number(value)));
    }
  };

  let scheduler = await serve();
  let app = await application();
  for (let turn = 0; turn < KILLS; turn++) {
    await delay(50 + random() * 400);
    if (turn % 3 === 2) {
      note(await kill(app));
      app = await application();
    } else {
      await kill(scheduler);
      scheduler = await serve();
    }
  }
  note(await app.rest());
  running.delete(app);

  expect(acknowledged.size).toBe(ROOTS);
  expect([...results].sort(([a], [b]) => a - b)).toEqual(
    Array.from({ length: ROOTS }, (_, n) => [n, new Set([n * 1_000 + 6])]),
  );
  await scheduler.terminate();
  running.delete(scheduler);
  await expect(scheduler.ended).resolves.toBe(0);
  const { calls } = await commandJson<{ calls: { id: string; state: string; function: string }[] }>(
    ...['calls', 'list', '--store', store, '--limit', '1000'],
  );
  expect(new Set(calls.map(({ state }) => state))).toEqual(new Set(['succeeded']));
  expect(
    calls
      .filter((call) => call.function === 'root')
      .map(({ id }) => id)
      .sort(),
  ).toEqual([...acknowledged.values()].sort());
  expect(calls.filter((call) => call.function === 'leaf')).toHaveLength(4 * ROOTS);
  // Every leaf has run at least once.
  const ran = new Set(readFileSync(effects, 'utf8').split('\n').filter(Boolean));
  expect(ran.size).toBe(4 * ROOTS);
}, 300_000);
