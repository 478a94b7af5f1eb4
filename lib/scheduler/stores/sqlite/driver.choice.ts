import { StoreError } from '../../store.js';
import type { SqliteDriver, SqliteDriverName } from './driver.js';
import { libsqlDriver } from './driver.libsql.js';
import { nodeDriver } from './driver.node.js';

/**
 * The driver of this runtime: `node:sqlite` where it is there, else libsql.
 * @param choice only for tests: this driver and no other
 * @throws StoreError when there is none
 */
export async function loadDriver(choice?: SqliteDriverName): Promise<SqliteDriver> {
  const driver = (choice !== 'libsql' && nodeDriver()) || (choice !== 'node' && (await libsqlDriver()));
  if (driver) return driver;
  throw new StoreError(
    `There is no SQLite here: Node ${process.versions.node} has no node:sqlite, and the package 'libsql' is not installed ` +
      `or has no binary for ${process.platform}-${process.arch}. Run 'npm install libsql', or use Node 22.13 or later, ` +
      `or set DISPATCH_STORE to another store.`,
  );
}
