import type { Timestamp } from '../store.js';
import { Deque } from './deque.js';
import type { CallRecord } from './record.js';

/** Calls that may run now, in the order in which they shall. */
export interface ReadyQueue {
  readonly size: number;
  push(call: CallRecord): void;
  /** The call whose turn it is. */
  take(now: Timestamp): CallRecord | undefined;
  /** Takes out a call that is not to run any more. */
  remove(call: CallRecord): void;
}

/** First in, first out. */
export class FifoQueue implements ReadyQueue {
  private readonly calls = new Deque<CallRecord>();
  private count = 0;

  get size(): number {
    return this.count;
  }

  push(call: CallRecord): void {
    if (call.queue) return;
    call.queue = this;
    this.count += 1;
    this.calls.push(call);
  }

  take(_now: Timestamp): CallRecord | undefined {
    for (let call = this.calls.shift(); call !== undefined; call = this.calls.shift()) {
      // A call that was removed stays in its place until its turn comes.
      if (call.queue !== this) continue;
      call.queue = undefined;
      this.count -= 1;
      return call;
    }
    return undefined;
  }

  remove(call: CallRecord): void {
    if (call.queue !== this) return;
    call.queue = undefined;
    this.count -= 1;
  }
}
