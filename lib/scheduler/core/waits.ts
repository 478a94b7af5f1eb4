import { NotFoundError, TimeoutError } from '../../errors/index.js';
import type { DispatchId } from '../store.js';
import type { CallOutcome, WaitOptions } from './calls.js';
import type { Core } from './core.js';
import { RecentOutcomes } from './recent-outcomes.js';
import { Task } from './timers.js';

/** Someone who waits for the end of a call. */
export interface Waiter {
  settle(outcome: CallOutcome): void;
  fail(error: Error): void;
}

/** Who waits for which call, inside of this process. */
export class Waits {
  private readonly waiters = new Map<DispatchId, Set<Waiter>>();
  private readonly recent = new RecentOutcomes();

  constructor(private readonly core: Core) {}

  /** Waits for an unfinished call. */
  add(id: DispatchId, waiter: Waiter): void {
    const waiters = this.waiters.get(id);
    if (waiters) waiters.add(waiter);
    else this.waiters.set(id, new Set([waiter]));
  }

  remove(id: DispatchId, waiter: Waiter): void {
    const waiters = this.waiters.get(id);
    waiters?.delete(waiter);
    if (waiters?.size === 0) this.waiters.delete(id);
  }

  async wait(id: DispatchId, { timeout, signal }: WaitOptions): Promise<CallOutcome> {
    signal?.throwIfAborted();
    // Where processes share the store, all that is waited for in a turn is looked up together.
    if (this.core.fleet === undefined && !this.core.isUnfinished(id)) {
      const found = this.recent.get(id) ?? (await this.lookUp(id));
      if (typeof found === 'object') return found;
      // It began again while the store was asked.
      if (found === undefined && !this.core.isUnfinished(id)) throw unknownCall(id);
    }
    return new Promise<CallOutcome>((resolve, reject) => {
      const { core } = this;
      const end = () => {
        this.remove(id, waiter);
        core.timers.clear(task);
        signal?.removeEventListener('abort', aborted);
      };
      const waiter: Waiter = {
        settle: (outcome) => {
          end();
          resolve(outcome);
        },
        fail: (error) => {
          end();
          reject(error);
        },
      };
      const task = new Task(() =>
        waiter.fail(new TimeoutError(`the call ${id} has not finished within ${timeout} ms`)),
      );
      const aborted = () => waiter.fail(reasonOf(signal));
      this.add(id, waiter);
      this.watchElsewhere(id);
      signal?.addEventListener('abort', aborted);
      if (timeout !== undefined) core.timers.set(task, core.clock.now() + timeout);
    });
  }

  isAwaited(id: DispatchId): boolean {
    return this.waiters.has(id);
  }

  /** Calls that someone waits for. */
  ids(): Iterable<DispatchId> {
    return this.waiters.keys();
  }

  /** A call that is not in memory has its end told by the process that has it. */
  watchElsewhere(id: DispatchId): void {
    if (!this.core.records.has(id)) this.core.fleet?.watches.add([id]);
  }

  /** The end of a call that is not in memory: it finished earlier, is in another process's hands, or there never was one. */
  async lookUp(id: DispatchId): Promise<CallOutcome | 'elsewhere' | undefined> {
    const { store, fleet } = this.core;
    const [row, [result]] = await Promise.all([store.get(id), store.results([id])]);
    if (row !== undefined && fleet !== undefined && !(row.finished && result)) return 'elsewhere';
    if (!row?.finished || !result) return undefined;
    const { rootId } = row.header;
    return { id, rootId, state: row.finished.state, status: row.finished.status, result };
  }

  /** The end of the call is committed. */
  settle(outcome: CallOutcome): void {
    const waiters = this.take(outcome.id);
    // Where another process may have the call begin again, only the store knows whether it still holds.
    if (waiters === undefined && this.core.fleet === undefined) this.recent.add(outcome);
    for (const waiter of waiters ?? []) waiter.settle(outcome);
  }

  /** What is known of the end of the call does not hold any more: it is removed, or begins again. */
  forgetOutcome(id: DispatchId): void {
    this.recent.forget(id);
  }

  /** The call was never made: its commit failed, or it is not in the store. */
  forget(id: DispatchId): void {
    for (const waiter of this.take(id) ?? []) waiter.fail(unknownCall(id));
  }

  /** Nobody will hear of anything any more. */
  failAll(error: Error): void {
    for (const id of [...this.waiters.keys()]) {
      for (const waiter of this.take(id) ?? []) waiter.fail(error);
    }
  }

  private take(id: DispatchId): Iterable<Waiter> | undefined {
    const waiters = this.waiters.get(id);
    if (waiters !== undefined) this.waiters.delete(id);
    return waiters;
  }
}

export function unknownCall(id: DispatchId): NotFoundError {
  return new NotFoundError(`there is no call ${id}`);
}

function reasonOf(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new Error('the wait was aborted', { cause: reason });
}
