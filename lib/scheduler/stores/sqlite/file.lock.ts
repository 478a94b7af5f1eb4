import { setTimeout as delay } from 'node:timers/promises';
import { StoreLockedError } from '../../store.js';
import type { SqliteConnection, SqliteDriver } from './driver.js';
import { isBusy, storeError } from './errors.js';

const RETRY_INTERVAL_MS = 50;

/**
 * The stores that this process owns. The operating system's locks are the process's, so they do not keep two stores of one
 * process apart; and it is one list for all copies of this package in the process.
 */
const OWNED = Symbol.for('nestjs-dispatch.sqlite.owned');
const owned = ((globalThis as { [OWNED]?: Set<string> })[OWNED] ??= new Set<string>());

/**
 * The ownership of a store's file: an exclusive transaction on a database of its own beside it (`-lock`), which the
 * operating system ends with the process, however that ends.
 */
export class FileLock {
  private constructor(
    private readonly path: string,
    private readonly connection: SqliteConnection,
  ) {}

  /**
   * @param path the store's file
   * @param timeout how many milliseconds to wait for another owner to let go
   * @param ownerPid finds out who the owner is, for the message
   * @throws StoreLockedError when it does not
   */
  static async acquire(
    driver: SqliteDriver,
    path: string,
    timeout: number,
    ownerPid: () => number | undefined,
  ): Promise<FileLock> {
    const deadline = performance.now() + timeout;
    for (;;) {
      const lock = FileLock.tryAcquire(driver, path);
      if (lock) return lock;
      const left = deadline - performance.now();
      if (left <= 0) throw lockedError(path, timeout, owned.has(path) ? process.pid : ownerPid());
      await delay(Math.min(left, RETRY_INTERVAL_MS * (0.5 + Math.random())));
    }
  }

  release(): void {
    owned.delete(this.path);
    this.connection.close();
  }

  private static tryAcquire(driver: SqliteDriver, path: string): FileLock | undefined {
    // Asked before the file is opened: closing it would end the lock that this process holds on it.
    if (owned.has(path)) return undefined;
    const file = `${path}-lock`;
    let connection: SqliteConnection | undefined;
    try {
      connection = driver.open(file);
      // Nothing is ever written there: no journal file is needed beside it.
      connection.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    } catch (error) {
      connection?.close();
      if (isBusy(error)) return undefined;
      throw storeError(error, file);
    }
    owned.add(path);
    return new FileLock(path, connection);
  }
}

function lockedError(path: string, timeout: number, pid: number | undefined): StoreLockedError {
  const owner =
    pid === undefined
      ? 'another process'
      : pid === process.pid
        ? `this process (pid ${pid})`
        : `the process with pid ${pid}`;
  const waited = timeout === 0 ? '' : `, which did not let go of it within ${timeout} ms`;
  return new StoreLockedError(
    `The store ${path} is owned by ${owner}${waited}. A file is for one process: end ` +
      `that one, or set DISPATCH_STORE to another path for this one. For several processes that share the work, set ` +
      `DISPATCH_STORE to a PostgreSQL database (postgres://…).`,
  );
}
