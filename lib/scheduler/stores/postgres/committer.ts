import { setTimeout as delay } from 'node:timers/promises';
import type { BranchChanges, DispatchId, Mutation } from '../../store.js';
import { StoreError, StoreOwnershipLostError } from '../../store.js';
import type { Answer, Connection } from './connection.js';
import type { ConnectionSlot } from './connection.slot.js';
import { isFollowUp, storeError } from './errors.js';
import { groupsOf } from './mutation.group.js';
import type { MutationWriter } from './mutation.writer.js';
import { number } from './rows.js';
import type { Statements } from './statements.js';

/** How long to wait before a server that cannot be reached is asked again, in milliseconds. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 2_000;

/** What is written by one transaction. */
export interface Commit {
  readonly mutations: readonly Mutation[];
  readonly branches: BranchChanges | undefined;
  /** Calls that a former process died with, where this says what became of them: they do not count as running any more. */
  readonly settled: readonly DispatchId[];
}

export interface CommitterParts {
  readonly store: string;
  readonly statements: Statements;
  readonly connection: ConnectionSlot;
  readonly writer: MutationWriter;
  readonly process: number;
  /** Milliseconds. */
  readonly lease: number;
  /** The process has shown that it lives, at that `performance.now()` or later. */
  readonly onRenewed: (at: number) => void;
  readonly onOwnershipLost: () => void;
  readonly warn: (message: string) => void;
}

/**
 * Carries out transactions of this process, one after the other. Each begins with the process's own row: where that says
 * that the process counts as dead, nothing is written; else its lease is renewed, and the row is locked, so that nobody can
 * declare it dead until the end of the transaction. The row also gets the transaction's number: when the connection breaks during the
 * COMMIT, that tells afterwards what became of it.
 */
export class Committer {
  /** Mutations that were committed. */
  written = 0;
  private last: Promise<unknown> = Promise.resolve();
  /** The number of the last transaction that is known to be committed. */
  private sequence = 0;
  private fencedAt = 0;
  private isOwner = true;
  private isClosing = false;
  private hasWarned = false;

  constructor(private readonly parts: CommitterParts) {}

  commit(commit: Commit): Promise<void> {
    return this.inTurn((connection) => this.write(connection, commit, true));
  }

  /** The process counts as dead: nothing is written any more. */
  disown(): void {
    if (!this.isOwner) return;
    this.isOwner = false;
    this.parts.onOwnershipLost();
  }

  /** Waits for what is under way; a server that cannot be reached is not waited for. */
  async close(): Promise<void> {
    this.isClosing = true;
    await this.last.catch(() => undefined);
  }

  /** Hands the connection to an action once all before it are done. */
  inTurn<T>(action: (connection: Connection) => Promise<T>): Promise<T> {
    const result = this.last
      .catch(() => undefined)
      .then(async () => {
        this.requireOwner();
        return action(await this.parts.connection.get());
      });
    this.last = result;
    return result.catch((error: unknown) => {
      throw storeError(error, this.parts.store);
    });
  }

  /** Carries out an action in a transaction of its own, in which the process counts as alive. */
  transact<T>(action: (connection: Connection) => Promise<T>): Promise<T> {
    return this.inTurn(async (connection) => {
      await connection.query('BEGIN');
      try {
        await this.fence(connection);
        const result = await action(connection);
        await this.end(connection);
        return result;
      } catch (error) {
        await rollBack(connection);
        throw error;
      }
    });
  }

  /**
   * Locks the process's row until the end of the transaction.
   * @throws StoreOwnershipLostError
   */
  async fence(connection: Connection): Promise<void> {
    const { count } = await this.sendFence(connection);
    if (count === 1) return;
    this.disown();
    this.requireOwner();
  }

  /** Ends a transaction all of whose statements have succeeded. */
  async end(connection: Connection): Promise<void> {
    try {
      await connection.query('COMMIT');
    } catch (error) {
      if (!connection.isLost || !(await this.wasCommitted(error))) throw error;
    }
    this.sequence += 1;
    this.parts.onRenewed(this.fencedAt);
  }

  /** @param mayRepeat when the connection turns out to be lost before there was any COMMIT */
  private async write(connection: Connection, commit: Commit, mayRepeat: boolean): Promise<void> {
    const { mutations, branches, settled } = commit;
    const groups = groupsOf(this.parts.store, mutations);
    const begun = connection.query('BEGIN');
    const fence = this.sendFence(connection);
    const sent = groups.flatMap((group) => this.parts.writer.send(connection, group));
    if (branches) sent.push(...this.parts.writer.sendBranches(connection, branches));
    if (settled.length > 0) sent.push(...this.parts.writer.sendSettled(connection, settled));
    const answers = await Promise.allSettled([begun, fence, ...sent.map(({ answer }) => answer)]);
    const failed = answers.find((answer) => answer.status === 'rejected' && !isFollowUp(answer.reason));
    if (failed?.status === 'rejected') {
      if (connection.isLost && mayRepeat) {
        return this.write(await this.parts.connection.get(), commit, false);
      }
      await rollBack(connection);
      throw failed.reason;
    }
    if ((await fence).count === 0) {
      await rollBack(connection);
      this.disown();
      this.requireOwner();
    }
    const isWhole = await Promise.all(
      sent.map(async ({ answer, expected }) => expected === undefined || (await answer).count === expected),
    );
    if (isWhole.every(Boolean)) {
      const ending = this.end(connection);
      this.parts.writer.tellOfEnds(connection, groups);
      await ending;
      this.written += mutations.length;
      return;
    }
    await rollBack(connection);
    throw (
      (await this.parts.writer.refusal(connection, mutations)) ??
      new StoreError(`The store ${this.parts.store} did not take a commit wholly, and nothing of it was stored.`)
    );
  }

  private sendFence(connection: Connection): Promise<Answer> {
    this.fencedAt = performance.now();
    const { statements, process, lease } = this.parts;
    return connection.run(statements.fence, [process, this.sequence + 1, lease]);
  }

  /** The connection broke during the COMMIT: asks the server, for as long as it takes, whether that was done. */
  private async wasCommitted(cause: unknown): Promise<boolean> {
    const { statements, process, store, connection } = this.parts;
    for (let pause = FIRST_PAUSE; !this.isClosing; pause = Math.min(LONGEST_PAUSE, pause * 2)) {
      try {
        const { rows } = await (await connection.get()).run(statements.lastCommit, [process]);
        this.hasWarned = false;
        return rows[0] !== undefined && number(rows[0][0]) > this.sequence;
      } catch {
        if (pause === LONGEST_PAUSE) this.warnOfWait();
        await delay(pause);
      }
    }
    throw new StoreError(
      `The store ${store} was closed before it could be found out whether its last commit was done. The next process goes on with what is stored.`,
      { cause },
    );
  }

  private warnOfWait(): void {
    if (this.hasWarned) return;
    this.hasWarned = true;
    this.parts.warn(
      `The store ${this.parts.store} cannot be reached, and whether its last commit was done is not known: calls go on once ` +
        'it answers. Nothing that was acknowledged is lost. See that the server runs.',
    );
  }

  private requireOwner(): void {
    if (this.isOwner) return;
    throw new StoreOwnershipLostError(
      `This process was out of touch with the store ${this.parts.store} for longer than its lease of ${this.parts.lease} ms: ` +
        'its calls are in the hands of other processes. Look for what held it up: a paused machine, a blocked event loop, ' +
        'a connection that was cut.',
    );
  }
}

/** Ends a transaction without it: where the connection is lost, the server does. */
export async function rollBack(connection: Connection): Promise<void> {
  if (!connection.isLost) await connection.query('ROLLBACK').catch(() => undefined);
}
