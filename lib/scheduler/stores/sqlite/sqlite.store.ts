import { fromBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import type { Any } from '@bufbuild/protobuf/wkt';
import { mkdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CallResultSchema } from '../../../gen/dispatch/sdk/v1/call_pb.js';
import type { CallResult } from '../../../gen/dispatch/sdk/v1/call_pb.js';
import { StoreError } from '../../store.js';
import type { CallFilter, CallPage, CallRow, DispatchId, Mutation, Recovery, Store, Timestamp } from '../../store.js';
import { listCalls } from './call.list.js';
import { loadDriver } from './driver.choice.js';
import { blobOf } from './driver.js';
import type { SqliteConnection, SqliteDriver, SqliteDriverName } from './driver.js';
import { isSchemaMismatch, corruptError, storeError } from './errors.js';
import { FileLock } from './file.lock.js';
import { MutationWriter } from './mutations.js';
import { callRow, correlationId, number, text } from './rows.js';
import { RunningMarks } from './running.marks.js';
import { bringToCurrentVersion, rollBack } from './schema.js';
import { prepareStatements } from './statements.js';
import type { Statements } from './statements.js';

export interface SqliteStoreOptions {
  /** How many milliseconds `open` waits for another process to let go of the file. Default: 10,000, so that a restart may overlap. */
  readonly lockTimeout?: number;
  /** For tests: this driver, instead of the best one that is there. */
  readonly driver?: SqliteDriverName;
  /** For tests of a full disk: how many pages (of 4,096 bytes) the file may have. Default: no limit. */
  readonly maxPages?: number;
}

/** What is there while the store is open. */
interface Session {
  readonly lock: FileLock;
  readonly connection: SqliteConnection;
  readonly statements: Statements;
  readonly writer: MutationWriter;
  readonly marks: RunningMarks;
  readonly inFlight: readonly DispatchId[];
}

/** How long a statement waits for a program that reads or copies the file, such as a database shell. */
const BUSY_TIMEOUT_MS = 1000;
const DEFAULT_LOCK_TIMEOUT_MS = 10_000;

/**
 * Keeps calls in one SQLite file, which one process owns. Beside it are `-wal` and `-shm` (SQLite's own), `-lock` (see
 * FileLock) and `-running` (see RunningMarks). The file may be read by others while it is owned.
 */
export class SqliteStore implements Store {
  readonly name: string;
  private session: Session | undefined;
  /** Calls that were in flight when the former owner died, and that nothing was written about since. */
  private readonly recovered = new Set<DispatchId>();

  constructor(
    path: string,
    private readonly options: SqliteStoreOptions = {},
  ) {
    this.name = path;
  }

  async open(): Promise<void> {
    if (this.session)
      throw new StoreError(
        `The store ${this.name} is open already. Open a store once, and close it before opening it again.`,
      );
    const driver = await loadDriver(this.options.driver);
    const path = this.makeDirectory();
    const timeout = this.options.lockTimeout ?? DEFAULT_LOCK_TIMEOUT_MS;
    const lock = await FileLock.acquire(driver, path, timeout, () => RunningMarks.ownerPid(path));
    try {
      this.session = this.openFile(driver, path, lock);
    } catch (error) {
      lock.release();
      throw storeError(error, this.name);
    }
  }

  close(): Promise<void> {
    return this.use((session) => {
      this.session = undefined;
      this.recovered.clear();
      endSession(session);
    });
  }

  recover(): Promise<Recovery> {
    return this.use(({ statements, inFlight }) => {
      return {
        calls: statements.unfinishedCalls.all().map(callRow),
        undelivered: statements.undeliveredResults.all().map((row) => ({
          id: text(row['id']),
          parentId: text(row['parent']),
          correlationId: correlationId(number(row['correlation_high']), number(row['correlation_low'])),
          inbox: number(row['inbox']),
        })),
        inFlight: [...inFlight],
      };
    });
  }

  commit(mutations: readonly Mutation[]): Promise<void> {
    return this.use(({ connection, statements, writer }) => {
      if (mutations.length === 0) return;
      statements.begin.run();
      try {
        for (const mutation of mutations) writer.apply(mutation);
        statements.commit.run();
      } catch (error) {
        rollBack(connection);
        throw error;
      }
      this.forgetRecovered(mutations);
    });
  }

  markRunning(started: readonly DispatchId[], ended: readonly DispatchId[]): void {
    const { marks } = this.requireOpen();
    for (const id of started) this.recovered.delete(id);
    for (const id of ended) this.recovered.delete(id);
    marks.update(started, ended);
  }

  get(id: DispatchId): Promise<CallRow | undefined> {
    return this.use(({ statements }) => {
      const row = statements.getCall.get(id);
      return row && callRow(row);
    });
  }

  async list(filter: CallFilter, page: { readonly limit: number; readonly after?: string }): Promise<CallPage> {
    try {
      return await listCalls(() => this.requireOpen().statements, filter, page);
    } catch (error) {
      throw storeError(error, this.name);
    }
  }

  input(id: DispatchId): Promise<Any | undefined> {
    return this.use(({ statements }) => {
      const input = blobOf(statements.inputOfCall.get(id)?.['input']);
      return input && fromBinary(AnySchema, input);
    });
  }

  journal(id: DispatchId): Promise<Uint8Array> {
    return this.use(({ statements }) => {
      const parts = statements.journalOfCall.all(id).flatMap((row) => blobOf(row['bytes']) ?? []);
      const journal = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
      let end = 0;
      for (const part of parts) {
        journal.set(part, end);
        end += part.length;
      }
      return journal;
    });
  }

  results(ids: readonly DispatchId[]): Promise<(CallResult | undefined)[]> {
    return this.use(({ statements }) => {
      const results = new Array<CallResult | undefined>(ids.length).fill(undefined);
      for (const row of statements.resultsOfCalls.all(JSON.stringify(ids))) {
        const result = blobOf(row['result']);
        if (result) results[number(row['place'])] = fromBinary(CallResultSchema, result);
      }
      return results;
    });
  }

  finishedBefore(time: Timestamp, limit: number): Promise<DispatchId[]> {
    return this.use(({ statements }) => {
      const ids: DispatchId[] = [];
      for (const row of statements.finishedRoots.all(time, limit)) {
        const root = text(row['id']);
        for (const descendant of statements.descendants.all(root, limit - ids.length)) ids.push(text(descendant['id']));
        // The root comes last, so that what a slice leaves of a large tree is found again.
        if (ids.length < limit) ids.push(root);
        if (ids.length >= limit) break;
      }
      return ids;
    });
  }

  /** The store's file: its directory is there then, and links are followed, so that a file has one lock. */
  private makeDirectory(): string {
    const path = resolve(this.name);
    try {
      mkdirSync(dirname(path), { recursive: true });
      return realPath(path);
    } catch (error) {
      throw storeError(error, this.name);
    }
  }

  private openFile(driver: SqliteDriver, path: string, lock: FileLock): Session {
    const connection = driver.open(path);
    try {
      connection.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
      if (this.options.maxPages !== undefined) connection.exec(`PRAGMA max_page_count = ${this.options.maxPages}`);
      bringToCurrentVersion(connection, path);
      connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
      const statements = this.prepare(connection, path);
      const lastSeq = number(statements.ends.get()?.['last']);
      const { marks, left } = RunningMarks.open(path);
      for (const id of left) this.recovered.add(id);
      return {
        lock,
        connection,
        statements,
        writer: new MutationWriter(this.name, statements, lastSeq),
        marks,
        inFlight: left,
      };
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  private prepare(connection: SqliteConnection, path: string): Statements {
    try {
      return prepareStatements(connection);
    } catch (error) {
      if (!isSchemaMismatch(error)) throw error;
      throw corruptError(path, `its tables are not as they were made (${String(error)})`, error);
    }
  }

  /** The scheduler has written what became of calls that were in flight: from now on they are not. */
  private forgetRecovered(mutations: readonly Mutation[]): void {
    if (this.recovered.size === 0) return;
    const ended = mutations.flatMap((mutation) => {
      if (mutation.type === 'create') return [];
      return mutation.type === 'purge' ? mutation.ids : [mutation.id];
    });
    this.session?.marks.update(
      [],
      ended.filter((id) => this.recovered.delete(id)),
    );
  }

  private requireOpen(): Session {
    if (this.session) return this.session;
    throw new StoreError(
      `The store ${this.name} is not open. Call open() before using it; after close(), open it again.`,
    );
  }

  private async use<T>(action: (session: Session) => T): Promise<T> {
    const session = this.requireOpen();
    try {
      return action(session);
    } catch (error) {
      throw storeError(error, this.name);
    }
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return join(realpathSync(dirname(path)), basename(path));
  }
}

function endSession({ lock, marks, connection }: Session): void {
  try {
    marks.close();
    // Where this fails, nothing is lost: the next open finds all of it in the WAL.
    connection.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  } finally {
    try {
      connection.close();
    } finally {
      lock.release();
    }
  }
}
