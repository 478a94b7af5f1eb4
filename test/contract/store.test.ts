import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryStore, SqliteStore, type SqliteStoreOptions } from '../../lib/scheduler/stores/index.js';
import { crashSqlite } from '../support/sqlite.js';
import { driversHere } from '../support/sqlite.js';
import { describeStore } from './store.contract.js';

describeStore('the memory store', () => {
  const store = new MemoryStore();
  return Promise.resolve({
    store,
    crash: () => {
      store.crash();
      return Promise.resolve();
    },
    again: () => store,
    dispose: () => Promise.resolve(),
  });
});

for (const driver of driversHere) describeSqlite(`the SQLite store on ${driver}`, { driver, thread: false });
describeSqlite('the SQLite store in a thread of its own', {});

function describeSqlite(name: string, options: Pick<SqliteStoreOptions, 'driver' | 'thread'>): void {
  describeStore(name, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'store-'));
    // A dead process cannot be staged within one: what it leaves on the disk is copied to where the next store looks.
    let path = join(directory, '0', 'dispatch.db');
    let lives = 0;
    const stores: SqliteStore[] = [];
    const open = () => {
      const store = new SqliteStore(path, { ...options, lockTimeout: 0 });
      stores.push(store);
      return store;
    };
    return {
      store: open(),
      crash: async () => {
        const next = join(directory, String(++lives), 'dispatch.db');
        await crashSqlite(path, next);
        path = next;
      },
      again: open,
      dispose: async () => {
        await Promise.allSettled(stores.map((store) => store.close()));
        await rm(directory, { recursive: true, force: true });
      },
    };
  });
}
