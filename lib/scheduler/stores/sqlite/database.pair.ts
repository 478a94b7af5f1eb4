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
/** Where the disk was slow: after so many commits it is tried again. */
const TRY_AGAIN_AFTER = 200;
/** After so many commits here the thread moves what they have written from the log to the tables. */
const CHECKPOINT_AFTER = 300;

/**
 * Two connections to one file, used in turns. A commit of a few mutations, and reading a call, take less time than to
 * ask another thread for it, so they are done here; commits of many, and what looks at many calls, are left to the thread.
 */
export class DatabasePair implements DatabaseHandle {
  private averageMs = 0;
  private slowCommits = 0;
  private commitsHere = 0;
  /** Those that the thread has yet to answer. */
  private commitsThere = 0;

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
    if (mutations <= FEW && this.commitsThere === 0 && this.isQuick() && this.commitHere(tape)) return;
    this.commitsThere += 1;
    try {
      await this.thread.commit(tape);
    } finally {
      this.commitsThere -= 1;
    }
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

  /** False: another program has the file; nothing was written. */
  private commitHere(tape: Tape): boolean {
    const start = performance.now();
    try {
      this.here.commit(tape);
    } catch (error) {
      if (error instanceof Error && error.cause instanceof SqliteError && isBusy(error.cause)) return false;
      throw error;
    }
    this.averageMs += WEIGHT * (performance.now() - start - this.averageMs);
    this.commitsHere += 1;
    if (this.commitsHere % CHECKPOINT_AFTER === 0) this.checkpoint();
    return true;
  }

  /** Where it fails, the next one does it. */
  private checkpoint(): void {
    this.thread.ask('checkpoint').catch(() => undefined);
  }
}
