import { StoreError } from '../store.js';
import type { Store } from '../store.js';
import { MemoryStore } from './memory.js';
import { PostgresStore } from './postgres/postgres.store.js';
import type { PostgresStoreOptions } from './postgres/postgres.store.js';
import { SqliteStore } from './sqlite/sqlite.store.js';
import type { SqliteStoreOptions } from './sqlite/sqlite.store.js';

export { MemoryStore } from './memory.js';
export type { MemoryStoreOptions } from './memory.js';
export { migrate, PostgresStore } from './postgres/postgres.store.js';
export type { PostgresStoreOptions } from './postgres/postgres.store.js';
export { SqliteStore } from './sqlite/sqlite.store.js';
export type { SqliteStoreOptions } from './sqlite/sqlite.store.js';

/**
 * The store that a setting (`DISPATCH_STORE`) names: `memory:`, the path of a file, or the address of a PostgreSQL database. It is not open yet.
 * @throws StoreError when the setting names no store that there is
 */
export function createStore(
  setting: string,
  options: Pick<SqliteStoreOptions, 'lockTimeout' | 'driver'> & Pick<PostgresStoreOptions, 'migrate'> = {},
): Store {
  if (setting === 'memory:') return new MemoryStore();
  if (/^postgres(ql)?:/i.test(setting)) return new PostgresStore(setting, options);
  // Two letters or more: `C:\data` is a path. The URL is not shown, because it may hold a password.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(setting)?.[1];
  if (setting === '' || setting.startsWith(':') || scheme !== undefined) {
    throw new StoreError(
      `The store is set to ${scheme === undefined ? `'${setting}'` : `a ${scheme}: URL`}, which is none. Set DISPATCH_STORE (or the ` +
        `option scheduler.store) to 'memory:', to the path of a file, such as ./.dispatch/dispatch.db, or to an address such as ` +
        `postgres://user@host/database.`,
    );
  }
  return new SqliteStore(setting, options);
}
