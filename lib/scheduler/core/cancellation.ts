import { CancelledError } from '../../errors/index.js';
import type { Core } from './core.js';
import { Deque } from './deque.js';
import { isNative } from './native-waits.js';
import type { CallRecord } from './record.js';

/** Cancels calls with all that they have called. */
export class Cancellation {
  /** Calls still to be cancelled; a list instead of recursion, because trees may be deep. */
  private readonly pending = new Deque<CallRecord>();
  private isCancelling = false;

  constructor(private readonly core: Core) {}

  /** Cancels the call and its tree. */
  cancel(record: CallRecord): void {
    this.pending.push(record);
    this.work();
  }

  /** Cancels the unfinished children of a call that is not interested in them any more, with their trees. */
  cancelChildren(record: CallRecord): void {
    if (!record.children && !record.branches) return;
    this.pushChildren(record);
    this.work();
  }

  /** The cancellation is committed: running code may hear of it. */
  signal(record: CallRecord): void {
    if (record.finished === undefined)
      record.run?.abort(new CancelledError(`the call of ${record.fn.name} was cancelled`));
  }

  private work(): void {
    if (this.isCancelling) return;
    this.isCancelling = true;
    for (let record = this.pending.shift(); record !== undefined; record = this.pending.shift()) {
      // What a call that is being cancelled calls while it cleans up is its own affair.
      if (record.finished || record.leaving || record.isCancelling) continue;
      this.cancelOne(record);
      if (!record.finished) this.pushChildren(record);
    }
    this.isCancelling = false;
  }

  private pushChildren(record: CallRecord): void {
    for (const child of record.children ?? []) this.pending.push(child);
    this.core.fleet?.branches.cancel(record);
  }

  private cancelOne(record: CallRecord): void {
    const { core } = this;
    if (!record.run && !this.canCleanUp(record)) return core.completion.cancel(record);
    const now = core.clock.now();
    const cancelBy = now + core.settings.cancelGrace;
    const { progress } = record;
    const dueAt = progress.state === 'pending' && !record.run ? now : progress.dueAt;
    core.commits.progress(record, { ...progress, dueAt, cancelBy });
    core.commits.signalCancelled(record);
    core.readiness.arm(record, now);
  }

  /** Whether the call has code that could run its `catch` and `finally`, and hear that it is to. */
  canCleanUp(record: CallRecord): boolean {
    const { progress, fn } = record;
    if (isNative(record) || progress.state === 'incompatible' || !record.hasState) return false;
    return this.core.transport.extended(fn.endpoint) && record.foreignState !== 'typed';
  }
}
