import type { DatabaseHandle, DatabaseMethod } from './database.handle.js';
import { answer } from './database.handle.js';
import type { Database } from './database.js';
import type { DatabaseThread } from './database.thread.js';
import { SqliteError } from './driver.js';
import { isBusy } from './errors.js';
import type { Tape } from './tape.js';

/** Commits of up to so many mutations are carried out at once. */
const FEW = 16;
/** Milliseconds that the application may stand still for such a commit, on average. On slower disks the thread does them. */
const QUICK_MS = 1;
/** How much the last commit counts for that average. */
const WEIGHT = 0.1;
/** One commit counts for no more milliseconds than that: a stall of the machine says little about the disk. */
const MOST_MS = 4;
/** Where the disk was slow: after so many commits it is tried again. */
const TRY_AGAIN_AFTER = 100;
/** How many pages of the log (of 4,096 bytes) a small commit takes at least, about: those of the indexes that it changes. */
const PAGES_OF_A_COMMIT = 4;
const PAGE_BYTES = 4096;
/** After so many pages the thread moves what is in the log to the tables, while commits go on here. */
const CHECKPOINT_AFTER = 1200;
/** After so many pages nothing is written here until the log has begun anew. */
const LONGEST_LOG = 3 * CHECKPOINT_AFTER;

/**
 * Two connections to one file, used in turns. A commit of a few mutations, and reading a call, take less time than to
 * ask another thread for it, so they are done here; commits of many, and what looks at many calls, are left to the thread.
 */
export class DatabasePair implements DatabaseHandle {
  private averageMs = 0;
  private slowCommits = 0;
  /** Pages of the log that were written here in all, about; at how many of them the next checkpoint is due, and the halt. */
  private pages = 0;
  private checkpointAt = CHECKPOINT_AFTER;
  private haltAt = LONGEST_LOG;
  /** What the thread has yet to do before anything is written here. */
  private workThere = 0;

  constructor(
    private readonly here: Database,
    private readonly thread: DatabaseThread,
  ) {}

  ask<M extends DatabaseMethod>(
    method: M,
    ...args: Parameters<Database[M]>
  ): Promise<Awaited<ReturnType<Database[M]>>> {
    switch (method) {
      case 'get':
      case 'input':
      case 'journal':
      case 'results':
        return answer(this.here, method, args);
      default:
        return this.thread.ask(method, ...args);
    }
  }

  async commit(tape: Tape, mutations: number): Promise<void> {
    // Commits are carried out in order: none passes one that is on its way.
    if (mutations <= FEW && this.workThere === 0 && this.isQuick() && this.commitHere(tape)) return;
    await this.there(() => this.thread.commit(tape));
  }

  async close(): Promise<void> {
    try {
      this.here.close({ checkpoint: false });
    } finally {
      await this.thread.close();
    }
  }

  private isQuick(): boolean {
    if (this.averageMs <= QUICK_MS) return true;
    this.slowCommits += 1;
    if (this.slowCommits < TRY_AGAIN_AFTER) return false;
    this.slowCommits = 0;
    return true;
  }

  private learn(ms: number): void {
    // A try that went well: what was measured before it is long ago.
    if (this.averageMs > QUICK_MS && ms <= QUICK_MS) this.averageMs = ms;
    else this.averageMs += WEIGHT * (Math.min(ms, MOST_MS) - this.averageMs);
  }

  /** False: another program has the file; nothing was written. */
  private commitHere(tape: Tape): boolean {
    const bytes = tape.bytes.byteLength;
    const start = performance.now();
    try {
      this.here.commit(tape);
    } catch (error) {
      if (error instanceof Error && error.cause instanceof SqliteError && isBusy(error.cause)) return false;
      throw error;
    }
    this.learn(performance.now() - start);
    this.pages += PAGES_OF_A_COMMIT + Math.ceil(bytes / PAGE_BYTES);
    if (this.pages >= this.haltAt) void this.there(() => this.checkpoint());
    else if (this.pages >= this.checkpointAt) void this.checkpoint();
    return true;
  }

  /**
   * The log cannot begin anew while commits are made here most of the time, or another program reads: where it fails, it
   * is tried again later, at last with a halt.
   */
  private async checkpoint(): Promise<void> {
    const { pages } = this;
    this.checkpointAt = pages + CHECKPOINT_AFTER;
    const isNew = await this.thread.ask('checkpoint').catch(() => false);
    this.haltAt = isNew ? pages + LONGEST_LOG : Math.max(this.haltAt, pages + CHECKPOINT_AFTER);
  }

  /** Nothing is written here until that is done. */
  private async there(work: () => Promise<void>): Promise<void> {
    this.workThere += 1;
    try {
      await work();
    } finally {
      this.workThere -= 1;
    }
  }
}
