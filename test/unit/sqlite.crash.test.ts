import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SqliteStore } from '../../lib/scheduler/stores/index.js';
import { idOf } from '../contract/calls.js';
import { driversHere, StoreProcess } from '../support/sqlite.js';

// Real processes take their time to start on a busy machine.
jest.setTimeout(120_000);

describe.each(driversHere)('a SQLite store on %s whose process is killed', (driver) => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'store-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('has everything that was acknowledged, no half commits, and the call that ran', async () => {
    const path = join(directory, 'dispatch.db');
    let acknowledged = -1;
    for (const commits of [1, 40, 300]) {
      const child = new StoreProcess(path, driver, { task: 'write' });
      expect(await child.line()).toBe('open');
      for (let n = 0; n < commits; n++) acknowledged = Number(await child.line());
      acknowledged = Math.max(acknowledged, ...(await child.kill()).map(Number));

      const store = new SqliteStore(path, { driver, thread: false, lockTimeout: 0 });
      await store.open();
      const { calls, inFlight } = await store.recover();
      // One commit more than was acknowledged may have been made.
      const last = calls.length / 2 - 1;
      expect([acknowledged, acknowledged + 1]).toContain(last);
      expect(calls.map((call) => call.header.id)).toEqual(Array.from({ length: 2 * last + 2 }, (_, n) => idOf(n)));
      expect(Buffer.from(await store.journal(idOf(2 * last))).toString()).toBe(`journal of ${idOf(2 * last)}`);
      expect(inFlight).toHaveLength(1);
      expect([idOf(2 * last), idOf(2 * last + 2)]).toContain(inFlight[0]);
      await store.close();
    }
  });
});
