import { cp, mkdir, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { SqliteDriverName } from '../../lib/scheduler/stores/sqlite/driver.js';
import { nodeDriver } from '../../lib/scheduler/stores/sqlite/driver.node.js';
import { TypeScriptProcess } from './typescript-process.js';

/** The drivers that tests of the SQLite store run on: libsql everywhere, and `node:sqlite` where it is. */
export const driversHere: readonly SqliteDriverName[] = nodeDriver() ? ['node', 'libsql'] : ['libsql'];

/** Copies what the owner of a store's file would leave behind if it died now. */
export async function crashSqlite(path: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  const files = (await readdir(dirname(path))).filter(
    (file) => file.startsWith(basename(path)) && !file.endsWith('-lock'),
  );
  for (const file of files)
    await cp(join(dirname(path), file), join(dirname(to), file.replace(basename(path), basename(to))));
}

/** A process of its own that opens a store: see store.child.ts. */
export class StoreProcess extends TypeScriptProcess {
  constructor(path: string, driver: SqliteDriverName, options: { lockTimeout?: number; task?: 'hold' | 'write' } = {}) {
    const { lockTimeout = 0, task = 'hold' } = options;
    super(new URL('store.child.ts', import.meta.url), [path, driver, String(lockTimeout), task]);
  }

  /** Lets it close its store and end. */
  async end(): Promise<void> {
    this.endInput();
    await this.rest();
  }
}
