import { fromBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import type { Any } from '@bufbuild/protobuf/wkt';
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CallResultSchema } from '../../../gen/dispatch/sdk/v1/call_pb.js';
import type { CallResult } from '../../../gen/dispatch/sdk/v1/call_pb.js';
import { StoreError } from '../../store.js';
import type { CallFilter, CallPage, CallRow, DispatchId, Mutation, Recovery, Store, Timestamp } from '../../store.js';
import type { DatabaseHandle } from './database.handle.js';
import { Database, notOpen } from './database.js';
import { LocalDatabase } from './database.local.js';
import { DatabasePair } from './database.pair.js';
import { DatabaseThread } from './database.thread.js';
import { loadDriver } from './driver.choice.js';
import type { SqliteDriver, SqliteDriverName } from './driver.js';
import { storeError } from './errors.js';
import { FileLock } from './file.lock.js';
import { callRow, undeliveredResult } from './rows.js';
import { RunningMarks } from './running.marks.js';
import { TapeRecorder } from './tape.recorder.js';

export interface SqliteStoreOptions {
  /** How many milliseconds `open` waits for another process to let go of the file. Default: 10,000, so that a restart may overlap. */
  readonly lockTimeout?: number;
  /** False: all SQL is carried out in the thread that uses the store, which stands still meanwhile. Default: true, a thread of its own for all that takes long. */
  readonly thread?: boolean;
  /** For tests: this driver, instead of the best one that is there. */
  readonly driver?: SqliteDriverName;
  /** For tests of a full disk: how many pages (of 4,096 bytes) the file may have. Default: no limit. */
  readonly maxPages?: number;
}

/** What is there while the store is open. */
interface Session {
  readonly lock: FileLock;
  readonly database: DatabaseHandle;
  readonly recorder: TapeRecorder;
  readonly marks: RunningMarks;
  readonly inFlight: readonly DispatchId[];
}

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
      this.session = await this.openFile(driver, path, lock);
    } catch (error) {
      lock.release();
      throw storeError(error, this.name);
    }
  }

  async close(): Promise<void> {
    const { lock, marks, database } = this.requireOpen();
    this.session = undefined;
    this.recovered.clear();
    try {
      try {
        marks.close();
      } finally {
        await database.close();
      }
    } catch (error) {
      throw storeError(error, this.name);
    } finally {
      lock.release();
    }
  }

  async recover(): Promise<Recovery> {
    const { database, inFlight } = this.requireOpen();
    const { calls, undelivered } = await database.ask('recover');
    return this.read(() => ({
      calls: calls.map(callRow),
      undelivered: undelivered.map(undeliveredResult),
      inFlight: [...inFlight],
    }));
  }

  async commit(mutations: readonly Mutation[]): Promise<void> {
    const { database, recorder } = this.requireOpen();
    if (mutations.length === 0) return;
    await database.commit(recorder.record(mutations), mutations.length);
    this.forgetRecovered(mutations);
  }

  markRunning(started: readonly DispatchId[], ended: readonly DispatchId[]): void {
    const { marks } = this.requireOpen();
    for (const id of started) this.recovered.delete(id);
    for (const id of ended) this.recovered.delete(id);
    marks.update(started, ended);
  }

  async get(id: DispatchId): Promise<CallRow | undefined> {
    const call = await this.requireOpen().database.ask('get', id);
    return call === undefined ? undefined : this.read(() => callRow(call));
  }

  async list(filter: CallFilter, page: { readonly limit: number; readonly after?: string }): Promise<CallPage> {
    const { calls, next } = await this.requireOpen().database.ask('list', filter, page);
    return this.read(() => ({ rows: calls.map(callRow), next }));
  }

  async input(id: DispatchId): Promise<Any | undefined> {
    const input = await this.requireOpen().database.ask('input', id);
    return input && this.read(() => fromBinary(AnySchema, input));
  }

  async journal(id: DispatchId): Promise<Uint8Array> {
    return this.requireOpen().database.ask('journal', id);
  }

  async results(ids: readonly DispatchId[]): Promise<(CallResult | undefined)[]> {
    const results = await this.requireOpen().database.ask('results', ids);
    return this.read(() => results.map((result) => result && fromBinary(CallResultSchema, result)));
  }

  async finishedBefore(time: Timestamp, limit: number): Promise<DispatchId[]> {
    return this.requireOpen().database.ask('finishedBefore', time, limit);
  }

  /** The store's file: its directory is there then, and links are followed, so that a file has one lock. */
  private makeDirectory(): string {
    const path = resolve(this.name);
    try {
      makeDirectories(dirname(path));
      return realPath(path);
    } catch (error) {
      throw storeError(error, this.name);
    }
  }

  private async openFile(driver: SqliteDriver, path: string, lock: FileLock): Promise<Session> {
    const database = await this.openDatabase(driver, path);
    try {
      const recorder = new TapeRecorder(await database.ask('lastSeq'));
      const { marks, left } = RunningMarks.open(path);
      for (const id of left) this.recovered.add(id);
      return { lock, database, recorder, marks, inFlight: left };
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  private async openDatabase(driver: SqliteDriver, path: string): Promise<DatabaseHandle> {
    const { name } = this;
    const { maxPages, thread: threaded = true } = this.options;
    if (!threaded) return new LocalDatabase(Database.open(driver, name, path, { maxPages }));
    const thread = await DatabaseThread.open({ driver: driver.name, name, path, options: { maxPages } });
    try {
      return new DatabasePair(Database.open(driver, name, path, { maxPages, leavesLog: true }), thread);
    } catch (error) {
      await thread.close();
      throw error;
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
    throw notOpen(this.name);
  }

  /** Reads what the database gave: the file may be damaged. */
  private read<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw storeError(error, this.name);
    }
  }
}

/**
 * Makes a directory, and those above it that are missing. `mkdirSync` with `recursive` does not come back where nothing can
 * be made in one that is there: below a link that leads nowhere, as to a disk that is not mounted, or in /proc.
 */
function makeDirectories(path: string): void {
  if (existsSync(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectories(parent);
  try {
    mkdirSync(path);
  } catch (error) {
    // Another process may have been first.
    if (!existsSync(path)) throw error;
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return join(realpathSync(dirname(path)), basename(path));
  }
}
