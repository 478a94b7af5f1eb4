import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StoreConflictError, StoreCorruptError, StoreError, StoreWriteError } from '../../lib/scheduler/store.js';
import { SqliteStore } from '../../lib/scheduler/stores/index.js';
import { DatabaseThread } from '../../lib/scheduler/stores/sqlite/database.thread.js';
import { loadDriver } from '../../lib/scheduler/stores/sqlite/driver.choice.js';
import { bytesInput, finished, idOf, rootCall } from '../contract/calls.js';

describe('a SQLite store with a thread of its own', () => {
  let directory: string;
  let path: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'store-'));
    path = join(directory, 'dispatch.db');
  });
  afterEach(() => rm(directory, { recursive: true }));

  const many = (from: number) => Array.from({ length: 200 }, (_, n) => rootCall(idOf(from + n)));

  it('says why it cannot be opened, as any other does', async () => {
    const other = (await loadDriver(undefined)).open(path);
    other.exec('CREATE TABLE theirs (a)');
    other.close();
    const opening = new SqliteStore(path).open();
    await expect(opening).rejects.toBeInstanceOf(StoreCorruptError);
    await expect(opening).rejects.toThrow(path);
  });

  it('waits for another program that has the file, with small commits and large ones', async () => {
    const store = new SqliteStore(path);
    await store.open();
    const other = (await loadDriver(undefined)).open(path);
    other.exec('BEGIN IMMEDIATE');
    const small = store.commit([rootCall(idOf(1))]);
    const large = store.commit(many(1000));
    await delay(20);
    other.exec('COMMIT');
    other.close();
    await Promise.all([small, large]);
    expect(await store.get(idOf(1))).toBeDefined();
    expect(await store.get(idOf(1199))).toBeDefined();
    await store.close();
  });

  it('rejects what does not fit on the disk, here and there, and goes on', async () => {
    const store = new SqliteStore(path, { maxPages: 60 });
    await store.open();
    const large = (n: number) => rootCall(idOf(n), { target: { input: bytesInput(Buffer.alloc(300_000, n)) } });
    await expect(store.commit([large(1)])).rejects.toBeInstanceOf(StoreWriteError);
    await expect(store.commit([...many(1000), large(2)])).rejects.toBeInstanceOf(StoreWriteError);
    await store.commit([rootCall(idOf(3))]);
    expect((await store.recover()).calls.map(({ header }) => header.id)).toEqual([idOf(3)]);
    await store.close();
  });

  it('refuses a call that is there already, in small commits and in large ones', async () => {
    const store = new SqliteStore(path);
    await store.open();
    await store.commit(many(1000));
    await expect(store.commit([rootCall(idOf(1000))])).rejects.toBeInstanceOf(StoreConflictError);
    await expect(store.commit(many(900))).rejects.toBeInstanceOf(StoreConflictError);
    expect(await store.get(idOf(900))).toBeUndefined();
    await store.close();
  });

  it('keeps its log short while it makes small commits only', async () => {
    const store = new SqliteStore(path);
    await store.open();
    const sizes: number[] = [];
    for (let n = 0; n < 3000; n++) {
      await store.commit([rootCall(idOf(n)), finished(idOf(n))]);
      if (n % 1000 === 999) sizes.push((await stat(`${path}-wal`)).size);
    }
    expect(Math.max(...sizes)).toBeLessThan(16 * 1024 * 1024);
    expect((await store.list({}, { limit: 1 })).rows[0]?.header.id).toBe(idOf(2999));
    await store.close();
  });

  it('refuses everything once the thread is gone, and says what to do', async () => {
    const thread = await DatabaseThread.open({
      driver: (await loadDriver(undefined)).name,
      name: 'x.db',
      path,
      options: {},
    });
    const asked = Promise.allSettled([thread.ask('get', idOf(1)), thread.ask('recover')]);
    await thread.end();
    for (const { status } of await asked) expect(['fulfilled', 'rejected']).toContain(status);
    const late = thread.ask('get', idOf(1));
    await expect(late).rejects.toBeInstanceOf(StoreError);
    await expect(late).rejects.toThrow(/x\.db.*Restart the application/s);
  });
});
