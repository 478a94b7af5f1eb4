import type { Timestamp } from '../store.js';
import type { Core } from './core.js';
import { isNative } from './native-waits.js';
import type { CallRecord } from './record.js';
import type { Run } from './run.js';

/** Decides when a call may run, and sets its timer until then. */
export class Readiness {
  constructor(private readonly core: Core) {}

  /** Looks at a call after something about it has changed, and queues it when it may run. */
  evaluate(record: CallRecord): void {
    if (!this.core.active || record.queue || !this.isStartable(record)) return;
    const now = this.core.clock.now();
    if (isExpired(record, now)) return this.expire(record, now);
    if (isAtOrBefore(record.progress.cancelBy, now)) return this.core.completion.cancel(record);
    // It was cut short before it had anything to clean up.
    if (record.isCancelling && !this.core.cancellation.canCleanUp(record)) return this.core.completion.cancel(record);
    if (isNative(record)) return this.core.nativeWaits.begin(record);
    if (this.isDue(record, now)) {
      const departures = this.core.fleet?.departures;
      if (departures?.mayGo(record)) return departures.release(record);
      this.core.admission.enqueue(record);
    }
    this.arm(record, now);
  }

  /** Whether nothing but its time, its results and the queue stands between the call and a run. */
  isStartable(record: CallRecord): boolean {
    return (
      record.finished === undefined &&
      !record.leaving &&
      record.run === undefined &&
      (record.speculative || this.core.commits.isCommitted(record))
    );
  }

  /** Whether a call whose turn has come may still run: time has passed since it was queued, and the clock may have been set. */
  mayRun(record: CallRecord, now: Timestamp): boolean {
    return (
      this.isStartable(record) &&
      this.isDue(record, now) &&
      !isExpired(record, now) &&
      !isAtOrBefore(record.progress.cancelBy, now)
    );
  }

  isDue(record: CallRecord, now: Timestamp): boolean {
    const { progress } = record;
    switch (progress.state) {
      case 'pending':
        return progress.dueAt <= now;
      case 'suspended':
        return (
          record.woken ||
          record.fence !== record.suspendedBy ||
          (record.isCancelling && !record.told) ||
          isAtOrBefore(progress.wakeAt, now) ||
          this.hasEnoughResults(record)
        );
      default:
        return false;
    }
  }

  /** The call's time has come. */
  due(record: CallRecord): void {
    if (record.finished || record.leaving) return;
    const now = this.core.clock.now();
    const { run } = record;
    if (isExpired(record, now)) this.expire(record, now);
    else if (isAtOrBefore(record.progress.cancelBy, now)) this.core.completion.cancel(record);
    else if (run === undefined) this.evaluate(record);
    else if (run.deadline <= now) this.core.outcomes.timedOut(run);
    else this.arm(record, now);
  }

  /** Ends a call whose time is up: with those above it whose time is up as well, as they take it with them in good order. */
  private expire(record: CallRecord, now: Timestamp): void {
    let first = record;
    for (let up = record.parent; up && !up.finished && isExpired(up, now); up = up.parent) first = up;
    this.core.completion.expire(first);
  }

  /** Ends the pause before a call is tried again. */
  hurry(record: CallRecord): void {
    const { progress, run, finished, leaving } = record;
    const now = this.core.clock.now();
    if (finished || leaving || run || progress.state !== 'pending' || progress.attempt === 0 || progress.dueAt <= now)
      return;
    this.core.commits.progress(record, { ...progress, dueAt: now });
  }

  /** Sets the call's timer to the next time at which something has to happen without anybody's doing. */
  arm(record: CallRecord, now: Timestamp): void {
    const { progress, run } = record;
    let at = progress.cancelBy ?? record.header.expiresAt ?? Infinity;
    if (run) at = Math.min(at, run.deadline);
    else if (progress.state === 'pending' && progress.dueAt > now) at = Math.min(at, progress.dueAt);
    else if (progress.state === 'suspended' && progress.wakeAt !== undefined && progress.wakeAt > now) {
      at = Math.min(at, progress.wakeAt);
    }
    this.core.timers.set(record, at);
  }

  /** A live instance asks for a resume: heeded while that instance is the one that goes on. */
  wake(run: Run): void {
    const { record } = run;
    if (record.fence !== run.fence || record.finished) return;
    if (record.run === run) run.woken = true;
    else if (record.warm && record.progress.state === 'suspended') {
      record.woken = true;
      this.evaluate(record);
    }
  }

  /** The live instance that was to go on is given up: the call goes on from its state. */
  released(run: Run): void {
    const { record } = run;
    if (record.fence !== run.fence) return;
    record.warm = false;
    this.core.sleepers.consider(record);
  }

  /**
   * PROTOCOL, a run, rule 2: results that are still outstanding count, so that asking for more than will ever come is no
   * way to wait for ever. Where nothing at all is left to wait for, the function has to find out itself.
   */
  private hasEnoughResults(record: CallRecord): boolean {
    const { undelivered, outstanding, progress } = record;
    if (undelivered + outstanding === 0) return progress.wakeAt === undefined;
    if (undelivered === 0) return false;
    return this.mayFail(record) || undelivered >= Math.min(progress.minResults, undelivered + outstanding);
  }

  /** Our runtime asks for all results of a `gather` at once, and counts on hearing of the first failure all the same. */
  private mayFail(record: CallRecord): boolean {
    return record.failedPlace > record.progress.delivered && this.core.transport.extended(record.fn.endpoint);
  }
}

/** One that was cancelled has the time to clean up instead. */
function isExpired({ header, progress }: CallRecord, now: Timestamp): boolean {
  return progress.cancelBy === undefined && isAtOrBefore(header.expiresAt, now);
}

function isAtOrBefore(time: Timestamp | undefined, now: Timestamp): boolean {
  return time !== undefined && time <= now;
}
