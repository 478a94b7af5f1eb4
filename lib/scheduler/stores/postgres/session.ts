import { hostname } from 'node:os';
import type { DispatchId, Registration, SharedStoreListener } from '../../store.js';
import * as arrays from './arrays.js';
import { Claims } from './claims.js';
import { Committer } from './committer.js';
import { Connection, type ConnectionParts } from './connection.js';
import { ConnectionSlot } from './connection.slot.js';
import type { PostgresDriver } from './driver.js';
import { KEY_GIVEN, KeyLines } from './key.lines.js';
import { Lease } from './lease.js';
import { MutationWriter } from './mutation.writer.js';
import { Readers } from './readers.js';
import { number, text } from './rows.js';
import { RunningMarks } from './running.marks.js';
import { SLOTS_CHANGED, SlotShares } from './slot.shares.js';
import { OFFERED, WANTED, type Statements } from './statements.js';
import type { PostgresTarget } from './target.js';

export interface SessionParts {
  readonly driver: PostgresDriver;
  readonly target: PostgresTarget;
  readonly statements: Statements;
  readonly listener: SharedStoreListener;
  readonly runs: boolean;
  /** Milliseconds, both. */
  readonly lease: number;
  readonly heartbeat: number;
}

/** Settings of every session: times are compared by the server, and nothing that we ask is worth compiling. */
const COMMON = `SET jit = off; SET default_transaction_isolation = 'read committed'`;
/** What is read is found by an index, however large the planner takes the table for, and by no other processes of the server. */
const READS = 'SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0';
/**
 * Statements of commits find each row by its index. Left to statistics, which lag behind a table that grows quickly, the
 * planner would read the whole table now and then.
 */
const BY_INDEX =
  'SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off';
/** What was acknowledged is on disk, unless someone has asked for even more. */
const DURABLE = `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`;
const READERS = 2;

/** What is there while the store is open: the process's row, its connections, and what works on them. */
export class Session {
  readonly committer: Committer;
  readonly claims: Claims;
  readonly keyLines: KeyLines;
  readonly slotShares: SlotShares;
  readonly marks: RunningMarks;
  readonly readers: Readers;
  /** Calls whose ends the listener wants to hear of. */
  readonly watched = new Set<DispatchId>();
  /** Calls that were in flight when a former process died, of those that were claimed. */
  readonly inFlight = new Set<DispatchId>();
  private readonly lease: Lease;
  private readonly writing: ConnectionSlot;
  /** Heartbeats, marks and notifications: nothing that has to be on disk. */
  private readonly control: ConnectionSlot;
  /** Until then no other process is judged by its lease, because this one was cut off itself. */
  private judgesFrom = 0;
  private isClosing = false;

  private constructor(
    private readonly parts: SessionParts,
    readonly process: number,
    /** When it was registered: tells it from processes of other databases. */
    readonly start: string,
  ) {
    const { statements, target, lease, heartbeat, listener } = parts;
    this.writing = new ConnectionSlot(() =>
      this.connect('commits', `${COMMON}; ${BY_INDEX}; ${this.idleLimit}; ${DURABLE}`),
    );
    this.control = new ConnectionSlot(() => this.connectControl());
    this.readers = new Readers(READERS, () => this.connect('reads', `${COMMON}; ${READS}`));
    this.committer = new Committer({
      store: target.name,
      statements,
      connection: this.writing,
      writer: new MutationWriter({ store: target.name, statements, owner: process }),
      process,
      lease,
      onRenewed: (at) => this.lease.renewed(at),
      onOwnershipLost: () => listener.ownershipLost(),
      warn: (message) => listener.warn(message),
    });
    this.keyLines = new KeyLines(statements, this.committer, process);
    this.claims = new Claims({
      statements,
      committer: this.committer,
      keyLines: this.keyLines,
      process,
      judge: (connection) => this.judgeOthers(connection),
    });
    this.slotShares = new SlotShares(statements, this.committer, process);
    this.marks = new RunningMarks(statements, process, () => this.control.current);
    this.lease = new Lease({
      statements,
      connection: this.control,
      process,
      lease,
      heartbeat,
      onRegained: () => listener.leaseRegained(),
      onLost: () => this.committer.disown(),
    });
  }

  static async open(parts: SessionParts, first: Connection): Promise<Session> {
    const { statements, runs, lease } = parts;
    const { rows } = await first.run(statements.register, [`${hostname()} pid ${process.pid}`, runs, lease]);
    await sweep(first, statements);
    const session = new Session(parts, number(rows[0]?.[0]), text(rows[0]?.[1]));
    try {
      await session.control.get();
    } catch (error) {
      await session.close();
      throw error;
    }
    return session;
  }

  /** Whether others may have declared this process dead, as far as is known here. */
  get isOutOfTouch(): boolean {
    return this.lease.isOver;
  }

  /** Removes what nobody can reach: one process does, the one that has been here longest. */
  sweep(): Promise<void> {
    const { statements } = this.parts;
    return this.tell(async (connection) => {
      const { rows } = await connection.run(statements.isOldest, [this.process]);
      if (rows[0]?.[0] === true) await sweep(connection, statements);
    });
  }

  /** The functions of this process, in place of what it said before. */
  async register(functions: readonly Registration[]): Promise<void> {
    const { statements } = this.parts;
    await this.committer.transact(async (connection) => {
      await connection.run(statements.unregister, [this.process]);
      await connection.run(statements.registerFunctions, [this.process, ...columnsOf(functions)]);
      await connection.run(statements.tellFunctions);
    });
  }

  /** Sends what need not be on disk. */
  async tell<T>(action: (connection: Connection) => Promise<T>): Promise<T> {
    return action(await this.control.get());
  }

  /** Gives all calls back. A server that cannot be reached finds out when the lease runs out. */
  async close(): Promise<void> {
    this.isClosing = true;
    this.lease.stop();
    await this.committer.close();
    const { statements } = this.parts;
    try {
      const control = await this.control.get();
      await this.marks.clear(control);
      await control.run(statements.unwatchAll, [this.process]);
      await control.run(statements.unregister, [this.process]);
      await control.run(statements.endProcess, [this.process]);
      await control.run(statements.tellFree);
      await control.run(statements.tellFunctions);
    } catch {
      // What it leaves behind is found by the processes that are there then.
    } finally {
      await Promise.all([this.writing.close(), this.control.close(), this.readers.close()]);
    }
  }

  /** Declares processes dead whose lease has run out. */
  private async judgeOthers(connection: Connection): Promise<void> {
    if (performance.now() < this.judgesFrom) return;
    const { statements, listener, lease } = this.parts;
    const { rows } = await connection.run(statements.endExpired, [this.process, lease]);
    // Not in the middle of a claim: what it has locked would wait for another connection.
    if (rows.length > 0) void this.tell((control) => control.run(statements.tellFunctions)).catch(() => undefined);
    for (const row of rows) {
      listener.warn(
        `The process ${text(row[1])} has shown no sign of life for more than ${lease} ms: its calls go on in others.`,
      );
    }
  }

  private tellOffered(by: number): void {
    if (by !== this.process) this.parts.listener.workOffered(by);
  }

  private get idleLimit(): string {
    return `SET idle_in_transaction_session_timeout = ${Math.max(1, Math.round(this.parts.lease))}`;
  }

  private connect(purpose: string, settings: string, more: Partial<ConnectionParts> = {}): Promise<Connection> {
    const { driver, target } = this.parts;
    return Connection.open({
      driver,
      connectionString: target.connectionString,
      applicationName: `nestjs-dispatch ${this.process} ${purpose}`,
      settings,
      onLoss: () => {
        if (!this.isClosing) this.judgesFrom = performance.now() + this.parts.lease;
      },
      ...more,
    });
  }

  private async connectControl(): Promise<Connection> {
    const { target, listener, statements } = this.parts;
    const free = `${target.schema}_free`;
    const own = `${target.schema}_${this.process}`;
    const control = await this.connect(
      'control',
      `${COMMON}; ${BY_INDEX}; SET synchronous_commit = off; LISTEN ${free}; LISTEN ${own}`,
      {
        onNotification: (channel, payload) => {
          if (channel !== free) tellOwn(listener, payload);
          else if (payload === 'functions') listener.functionsChanged();
          else if (payload.startsWith(OFFERED)) this.tellOffered(Number(payload.slice(OFFERED.length)));
          else listener.claimable();
        },
      },
    );
    await control.run(statements.noteServer, [this.process]);
    // What was told while nobody listened is not told again.
    void control.run(statements.watch, [arrays.texts([...this.watched]), this.process]).catch(() => undefined);
    for (const id of this.watched) listener.ended(id);
    listener.claimable();
    listener.functionsChanged();
    listener.branchesEnded();
    listener.cancelRequested();
    listener.slotsChanged();
    queueMicrotask(() => this.marks.flush());
    return control;
  }
}

/** What processes that are no more have left behind, and what has been left of calls that have ended. */
async function sweep(connection: Connection, statements: Statements): Promise<void> {
  await connection.run(statements.forgetEnded);
  await connection.run(statements.forgetMarks);
  await connection.run(statements.forgetWaits);
  await connection.run(statements.forgetRegistrations);
  await connection.run(statements.dropResultsOfEnded);
  await connection.run(statements.forgetKeys);
  await connection.run(statements.forgetSlots);
  await connection.run(statements.forgetCancels, ['{}']);
}

function tellOwn(listener: SharedStoreListener, payload: string): void {
  if (payload === '') listener.cancelRequested();
  else if (payload === 'branches') listener.branchesEnded();
  else if (payload === SLOTS_CHANGED) listener.slotsChanged();
  else if (payload.startsWith(WANTED)) listener.workWanted(Number(payload.slice(WANTED.length)));
  else if (payload.startsWith(KEY_GIVEN)) listener.keyGiven(payload.slice(KEY_GIVEN.length));
  else listener.ended(payload);
}

function columnsOf(functions: readonly Registration[]): string[] {
  return [
    arrays.texts(functions.map((registered) => registered.endpoint)),
    arrays.texts(functions.map((registered) => registered.function)),
    arrays.texts(functions.map((registered) => registered.version)),
    arrays.numbers(functions.map(({ runs }) => runs ?? null)),
    arrays.numbers(functions.map(({ perKey }) => perKey ?? null)),
  ];
}
