import { StoreError } from '../store.js';
import type { Store } from '../store.js';
import { MemoryStore } from './memory.js';
import { SqliteStore } from './sqlite/sqlite.store.js';
import type { SqliteStoreOptions } from './sqlite/sqlite.store.js';

export { MemoryStore } from './memory.js';
export type { MemoryStoreOptions } from './memory.js';
export { SqliteStore } from './sqlite/sqlite.store.js';
export type { SqliteStoreOptions } from './sqlite/sqlite.store.js';

/**
 * The store that a setting (`DISPATCH_STORE`) names: `memory:`, or the path of a file. It is not open yet.
 * @throws StoreError when the setting names no store that there is
 */
export function createStore(setting: string, options: Pick<SqliteStoreOptions, 'lockTimeout' | 'driver'> = {}): Store {
  if (setting === 'memory:') return new MemoryStore();
  if (/^postgres(ql)?:/i.test(setting)) {
    throw new StoreError(
      `This version has no PostgreSQL store yet, and the store is set to a ${setting.slice(0, setting.indexOf(':'))}: URL. ` +
        `Set DISPATCH_STORE (or the option scheduler.store) to the path of a file, such as ./.dispatch/dispatch.db.`,
    );
  }
  // Two letters or more: `C:\data` is a path. The URL is not shown, because it may hold a password.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(setting)?.[1];
  if (setting === '' || setting.startsWith(':') || scheme !== undefined) {
    throw new StoreError(
      `The store is set to ${scheme === undefined ? `'${setting}'` : `a ${scheme}: URL`}, which is none. Set DISPATCH_STORE (or the ` +
        `option scheduler.store) to 'memory:', or to the path of a file, such as ./.dispatch/dispatch.db.`,
    );
  }
  return new SqliteStore(setting, options);
}
