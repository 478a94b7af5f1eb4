import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CallRow } from '../../lib/scheduler/store.js';
import { SqliteStore } from '../../lib/scheduler/stores/index.js';
import { TypeScriptProcess } from '../support/typescript-process.js';

let folder: string;
let path: string;
let running: TypeScriptProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dispatch-shutdown-'));
  path = join(folder, 'calls.db');
  writeFileSync(join(folder, 'effects'), '');
});
afterEach(async () => {
  await running?.kill();
  rmSync(folder, { recursive: true, force: true });
});

function start(): TypeScriptProcess {
  running = new TypeScriptProcess(new URL('shutdown.app.ts', import.meta.url), [path, join(folder, 'effects')]);
  return running;
}

const effects = (): string[] => readFileSync(join(folder, 'effects'), 'utf8').split('\n').filter(Boolean);

/** What the store holds of each call while no process has it. */
async function stored(ids: Record<string, string>): Promise<{ rows: Record<string, CallRow>; inFlight: string[] }> {
  const store = new SqliteStore(path, { lockTimeout: 0 });
  await store.open();
  try {
    const rows: Record<string, CallRow> = {};
    for (const [kind, id] of Object.entries(ids)) {
      const row = await store.get(id);
      if (row !== undefined) rows[kind] = row;
    }
    return { rows, inFlight: (await store.recover()).inFlight };
  } finally {
    await store.close();
  }
}

describe('an application that is asked to end (SIGTERM)', () => {
  test('records what ends within the grace, leaves the rest to the next start, and counts no crash', async () => {
    const first = start();
    const ids = JSON.parse((await first.until('ids')).slice('ids '.length)) as Record<string, string>;
    await first.until('ready');
    // Nest ends the process by the signal itself, once its hooks are done.
    const lines = await first.terminate();
    expect(await first.ended).toBeNull();

    expect(lines).toEqual([expect.stringMatching(/^refused TemporaryError The application is shutting down/)]);
    expect(effects()).toEqual(expect.arrayContaining(['short ends', 'long is aborted']));
    expect(effects()).not.toContain('leaf too late');
    expect(effects()).not.toContain('leaf calling');
    expect(effects()).not.toContain('queued 2');

    expect(existsSync(`${path}-running`)).toBe(false);
    const { rows, inFlight } = await stored(ids);
    expect(inFlight).toEqual([]);
    expect(Object.values(rows).map(({ progress }) => progress.crashes)).toEqual(Object.keys(ids).map(() => 0));
    const states = Object.entries(rows).map(([kind, { progress, finished }]) => [
      kind,
      finished?.state ?? progress.state,
    ]);
    expect(Object.fromEntries(states)).toEqual({
      short: 'succeeded',
      long: 'pending',
      asleep: 'suspended',
      calling: 'suspended',
      queued1: 'succeeded',
      queued2: 'pending',
      queued3: 'pending',
    });

    const second = start();
    const results = (await second.rest()).filter((line) => line.startsWith('result'));
    expect(results).toEqual([
      'result short short',
      'result long long',
      'result asleep after',
      'result calling calling',
      'result queued1 1',
      'result queued2 2',
      'result queued3 3',
    ]);
    expect(await second.ended).toBe(0);
    const all = effects();
    for (const once of [
      'short begins',
      'queued 1',
      'queued 2',
      'queued 3',
      'leaf before',
      'leaf after',
      'leaf calling',
    ])
      expect(all.filter((effect) => effect === once)).toEqual([once]);
  }, 60_000);
});
