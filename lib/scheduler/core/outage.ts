import { CancelledError } from '../../errors/index.js';
import { Branch } from './branches.js';
import { StoreConflictError, StoreReservedError, type DispatchId } from '../store.js';
import type { Batch } from './commit-log.js';
import type { Core } from './core.js';
import type { CallRecord } from './record.js';
import type { Run } from './run.js';
import { Task } from './timers.js';

/** How long nothing starts after the store has failed: doubles from the first to the second, in milliseconds. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 10_000;

/** Keeps memory and store the same when the store fails, and tries again until it is back. */
export class Outage {
  /** Nothing is started, and nothing that can wait is written. */
  isPaused = false;
  private failures = 0;
  private marksReported = false;
  /** Calls that are to be looked at once the pause is over. */
  private readonly affected = new Set<CallRecord>();
  /** Calls that were never made, and that somebody may wait for. */
  private readonly unmade: DispatchId[] = [];
  private readonly pauseEnd = new Task(() => this.resume());

  constructor(private readonly core: Core) {}

  commitSucceeded(): void {
    if (this.failures > 0) {
      this.core.log.log(`The store ${this.core.store.name} works again; calls go on.`);
      this.failures = 0;
    }
    if (this.isPaused) this.resume();
  }

  /** What is not in the store has not happened: calls go back to where it has them. */
  commitFailed(batches: readonly Batch[], error: unknown): void {
    for (const { made, ended, departures } of batches) {
      this.core.fleet?.branches.takeBack(made, ended.filter(isBranch));
      this.core.fleet?.departures.takeBack(departures);
    }
    for (const batch of batches) this.takeBack(batch);
    // Whoever hears of it may go on at once, which is safe only now.
    for (const id of this.unmade.splice(0)) this.unmake(id);
    // Someone else was first with an id: that is no outage, and all else is made again at once.
    const isContended = error instanceof StoreConflictError || error instanceof StoreReservedError;
    if (isContended && this.core.fleet) return this.resume();
    this.pause(`could not write: ${messageOf(error)}`);
  }

  /** The store could not read what a run needs. */
  readFailed(run: Run, error: unknown): void {
    if (run.record.run !== run) return;
    this.core.runs.end(run);
    this.affected.add(run.record);
    this.pause(`could not read: ${messageOf(error)}`);
  }

  /** The store could not read what a native wait needs. */
  lookUpFailed(record: CallRecord, error: unknown): void {
    record.waiting = false;
    this.affected.add(record);
    this.pause(`could not read: ${messageOf(error)}`);
  }

  /** The store could not read a call that left memory. */
  recallFailed(error: unknown): void {
    this.pause(`could not read: ${messageOf(error)}`);
  }

  marksFailed(error: unknown): void {
    if (this.marksReported) return;
    this.marksReported = true;
    this.core.log.warn(
      `The store ${this.core.store.name} could not note which calls are running: ${messageOf(error)}. ` +
        'Calls go on; a call that ends the process may not be found out.',
    );
  }

  /** No call is here any more. */
  forgetAll(): void {
    this.affected.clear();
  }

  private takeBack(batch: Batch): void {
    const { core } = this;
    const aborted = new CancelledError('the run was given up: what it did could not be stored, and it will run again');
    batch.touched.forEach((record, index) => {
      // What both batches have changed went back with the first.
      if (record.batch === 0) return;
      record.batch = 0;
      const { run } = record;
      if (run) {
        core.runs.end(run);
        run.abort(aborted);
      }
      core.admission.withdraw(record);
      core.timers.clear(record);
      core.payloads.takeInput(record);
      const snapshot = batch.before[index];
      if (snapshot === undefined) return this.remove(record);
      if (record.fn !== snapshot.fn) {
        core.functions.assign(record, core.functions.entry(snapshot.fn.endpoint, snapshot.fn.name));
      }
      record.restore(snapshot);
      core.delivery.trim(record);
      if (record.progress.state === 'incompatible') core.parking.remember(record);
      this.affected.add(record);
    });
  }

  /** A call that was never made. */
  private remove(record: CallRecord): void {
    const { core } = this;
    core.records.delete(record.id);
    core.keys.release(record);
    core.functions.release(record.fn);
    core.delivery.discard(record);
    this.affected.delete(record);
    const { parent } = record;
    if (parent?.children?.delete(record) && record.header.parentIncarnation === parent.progress.incarnation) {
      parent.outstanding -= 1;
    }
    record.parent = undefined;
    // The process may still hold an instance of it, which asks for a resume.
    record.warm = false;
    this.unmade.push(record.id);
  }

  /** Nobody waits for it any more, unless another process has made it. */
  private unmake(id: DispatchId): void {
    const { fleet, waits } = this.core;
    if (fleet === undefined) waits.forget(id);
    else if (waits.isAwaited(id)) waits.watchElsewhere(id);
  }

  private pause(what: string): void {
    const { core } = this;
    if (this.failures === 0) {
      core.log.error(
        `The store ${core.store.name} ${what}. Nothing that was acknowledged is lost: ` +
          'calls go on once it works again, and runs whose outcome could not be stored are made again. ' +
          'See that its disk has space and can be written.',
      );
    }
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.failures);
    this.failures += 1;
    this.isPaused = true;
    core.timers.set(this.pauseEnd, core.clock.now() + pause);
  }

  private resume(): void {
    const { core } = this;
    this.isPaused = false;
    core.timers.clear(this.pauseEnd);
    const affected = [...this.affected];
    this.affected.clear();
    for (const record of affected) core.readiness.evaluate(record);
    core.admission.requestPump();
  }
}

const isBranch = (ended: unknown): ended is Branch => ended instanceof Branch;

/** Without its full stop: the sentence that it becomes a part of has one. */
function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/\.$/, '');
}
