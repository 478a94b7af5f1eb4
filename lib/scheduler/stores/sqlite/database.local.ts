import { answer, type DatabaseHandle, type DatabaseMethod } from './database.handle.js';
import { Database, type DatabaseOptions } from './database.js';
import type { SqliteDriver } from './driver.js';

/** A database in the thread of the application, which stands still while the disk works. */
export class LocalDatabase implements DatabaseHandle {
  private constructor(private readonly database: Database) {}

  static open(driver: SqliteDriver, name: string, path: string, options: DatabaseOptions): LocalDatabase {
    return new LocalDatabase(Database.open(driver, name, path, options));
  }

  ask<M extends DatabaseMethod>(
    method: M,
    ...args: Parameters<Database[M]>
  ): Promise<Awaited<ReturnType<Database[M]>>> {
    return answer(this.database, method, args);
  }

  async close(): Promise<void> {
    await Promise.resolve(this.database.close());
  }
}
