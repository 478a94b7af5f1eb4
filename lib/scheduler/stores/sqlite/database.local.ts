import { answer, type DatabaseHandle, type DatabaseMethod } from './database.handle.js';
import type { Database } from './database.js';
import type { Tape } from './tape.js';

/** A database in the thread of the application, which stands still while the disk works. */
export class LocalDatabase implements DatabaseHandle {
  constructor(private readonly database: Database) {}

  ask<M extends DatabaseMethod>(
    method: M,
    ...args: Parameters<Database[M]>
  ): Promise<Awaited<ReturnType<Database[M]>>> {
    return answer(this.database, method, args);
  }

  async commit(tape: Tape): Promise<void> {
    await Promise.resolve(this.database.commit(tape));
  }

  async close(): Promise<void> {
    await Promise.resolve(this.database.close());
  }
}
