import { StoreError } from '../../store.js';
import type { CallFilter, DispatchId, Timestamp } from '../../store.js';
import { listCalls, type CallTextPage } from './call.list.js';
import { blobOf } from './driver.js';
import type { SqliteConnection, SqliteDriver } from './driver.js';
import { corruptError, isSchemaMismatch, storeError } from './errors.js';
import { MutationWriter } from './mutations.js';
import { number, text } from './rows.js';
import { bringToCurrentVersion, rollBack } from './schema.js';
import { prepareStatements, type Statements } from './statements.js';
import type { Tape } from './tape.js';

export interface DatabaseOptions {
  /** How many pages (of 4,096 bytes) the file may have. Undefined: no limit. */
  readonly maxPages?: number;
  /** Another connection moves what is committed from the log to the tables. */
  readonly leavesLog?: boolean;
}

/** What a scheduler finds when it starts: calls as `callRow` reads them, and the rest as JSON. */
export interface RecoveryTexts {
  readonly calls: string[];
  readonly undelivered: string[];
}

/** How long a statement waits for a program that reads or copies the file, such as a database shell. */
const BUSY_TIMEOUT_MS = 1000;
/** How long the log waits for others to be able to begin anew: commits wait behind it. */
const CHECKPOINT_TIMEOUT_MS = 20;

/**
 * The tables of a store, and all that is done with them: synchronously, in the thread that it is used in. What it gives is
 * text and bytes, which cross to another thread as they are. It throws `StoreError`s.
 */
export class Database {
  /**
   * @param name what errors call the store
   * @param path of the file, which is owned
   */
  static open(driver: SqliteDriver, name: string, path: string, options: DatabaseOptions): Database {
    const { maxPages, leavesLog = false } = options;
    try {
      const connection = driver.open(path);
      try {
        // The one that leaves the log to the other does not wait either: the other is asked instead.
        connection.exec(`PRAGMA busy_timeout = ${leavesLog ? 0 : BUSY_TIMEOUT_MS}`);
        if (maxPages !== undefined) connection.exec(`PRAGMA max_page_count = ${maxPages}`);
        bringToCurrentVersion(connection, path);
        connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
        if (leavesLog) connection.exec('PRAGMA wal_autocheckpoint = 0');
        return new Database(name, connection, prepare(connection, path));
      } catch (error) {
        connection.close();
        throw error;
      }
    } catch (error) {
      throw storeError(error, name);
    }
  }

  private readonly writer: MutationWriter;
  private isOpen = true;

  private constructor(
    private readonly name: string,
    private readonly connection: SqliteConnection,
    private readonly statements: Statements,
  ) {
    this.writer = new MutationWriter(name, statements);
  }

  /** The number of the last call that was created; 0 when there is none. */
  lastSeq(): number {
    return this.use(() => number(this.statements.ends.get()?.['last']));
  }

  /**
   * Moves what is in the log to the tables, and has the log begin anew: overwriting it is faster than to make it longer.
   * Most of it is moved while others write, the rest while they wait.
   *
   * @returns false: another connection wrote or read all the time, and the log goes on
   */
  checkpoint(): boolean {
    return this.use(() => {
      this.connection.exec('PRAGMA wal_checkpoint(PASSIVE)');
      this.connection.exec(`PRAGMA busy_timeout = ${CHECKPOINT_TIMEOUT_MS}`);
      try {
        return number(this.statements.restartLog.get()?.['busy']) === 0;
      } finally {
        this.connection.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
      }
    });
  }

  close({ checkpoint = true } = {}): void {
    this.use(() => {
      this.isOpen = false;
      try {
        // Where this fails, nothing is lost: the next open finds all of it in the WAL.
        if (checkpoint) this.connection.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      } finally {
        this.connection.close();
      }
    });
  }

  recover(): RecoveryTexts {
    return this.use(() => ({
      calls: this.statements.unfinishedCalls.all().map((row) => text(row['call'])),
      undelivered: this.statements.undeliveredResults.all().map((row) => text(row['result'])),
    }));
  }

  commit(tape: Tape): void {
    this.use(() => {
      this.statements.begin.run();
      try {
        this.writer.applyAll(tape);
        this.statements.commit.run();
      } catch (error) {
        rollBack(this.connection);
        throw error;
      }
    });
  }

  get(id: DispatchId): string | undefined {
    return this.use(() => {
      const row = this.statements.getCall.get(id);
      return row && text(row['call']);
    });
  }

  async list(filter: CallFilter, page: { readonly limit: number; readonly after?: string }): Promise<CallTextPage> {
    try {
      return await listCalls(() => this.openStatements(), filter, page);
    } catch (error) {
      throw storeError(error, this.name);
    }
  }

  input(id: DispatchId): Uint8Array | undefined {
    return this.use(() => blobOf(this.statements.inputOfCall.get(id)?.['input']));
  }

  journal(id: DispatchId): Uint8Array {
    return this.use(() => {
      const parts = this.statements.journalOfCall.all(id).flatMap((row) => blobOf(row['bytes']) ?? []);
      const journal = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
      let end = 0;
      for (const part of parts) {
        journal.set(part, end);
        end += part.length;
      }
      return journal;
    });
  }

  results(ids: readonly DispatchId[]): (Uint8Array | undefined)[] {
    return this.use(() => {
      const results = new Array<Uint8Array | undefined>(ids.length).fill(undefined);
      for (const row of this.statements.resultsOfCalls.all(JSON.stringify(ids))) {
        results[number(row['place'])] = blobOf(row['result']);
      }
      return results;
    });
  }

  finishedBefore(time: Timestamp, limit: number): DispatchId[] {
    return this.use(() => {
      const ids: DispatchId[] = [];
      for (const row of this.statements.finishedRoots.all(time, limit)) {
        const root = text(row['id']);
        for (const descendant of this.statements.descendants.all(root, limit - ids.length))
          ids.push(text(descendant['id']));
        // The root comes last, so that what a slice leaves of a large tree is found again.
        if (ids.length < limit) ids.push(root);
        if (ids.length >= limit) break;
      }
      return ids;
    });
  }

  private use<T>(action: () => T): T {
    this.requireOpen();
    try {
      return action();
    } catch (error) {
      throw storeError(error, this.name);
    }
  }

  private openStatements(): Statements {
    this.requireOpen();
    return this.statements;
  }

  private requireOpen(): void {
    if (!this.isOpen) throw notOpen(this.name);
  }
}

export function notOpen(name: string): StoreError {
  return new StoreError(`The store ${name} is not open. Call open() before using it; after close(), open it again.`);
}

function prepare(connection: SqliteConnection, path: string): Statements {
  try {
    return prepareStatements(connection);
  } catch (error) {
    if (!isSchemaMismatch(error)) throw error;
    throw corruptError(path, `its tables are not as they were made (${String(error)})`, error);
  }
}
