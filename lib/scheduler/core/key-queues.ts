import type { Core } from './core.js';
import type { FunctionEntry } from './function-entry.js';
import type { CallQueue, CallRecord } from './record.js';
import { Ring } from './ring.js';

/** Calls of a process that wait for the same key, beyond which others wait in the store, where that is shared. */
const CROWD = 80;

/** The calls of a function that have the same key: so many hold it, the others wait in line. */
export class Key implements CallQueue {
  /** Calls that have begun, or are about to, and have not ended. */
  holders = 0;
  /** Calls that wait in line. */
  length = 0;
  private readonly waiting = new Ring<CallRecord>();

  constructor(
    readonly fn: FunctionEntry,
    readonly name: string,
  ) {}

  get isFree(): boolean {
    return this.holders < this.fn.perKey;
  }

  get isUnused(): boolean {
    return this.holders === 0 && this.waiting.isEmpty;
  }

  push(call: CallRecord): void {
    call.queue = this;
    this.waiting.append(call);
    this.length += 1;
  }

  /** The call that is next in line, which holds the key from now on. */
  next(): CallRecord | undefined {
    const call = this.waiting.first;
    if (call === undefined) return undefined;
    this.leave(call);
    this.hold(call);
    return call;
  }

  hold(call: CallRecord): void {
    this.holders += 1;
    call.key = this;
  }

  remove(call: CallRecord): void {
    if (call.queue !== this) return;
    this.leave(call);
    if (this.isUnused) this.fn.keys.delete(this.name);
  }

  private leave(call: CallRecord): void {
    call.queue = undefined;
    this.waiting.remove(call);
    this.length -= 1;
  }
}

/**
 * Has calls with a key wait for it before they queue for a run. A call holds its key from its first turn to its end, also
 * while it is suspended or waits to be tried again: what calls with a key do is not mixed.
 */
export class KeyQueues {
  constructor(private readonly core: Core) {}

  /** Whether the call has its key now; else it is in line, and is queued when its turn comes. */
  take(record: CallRecord): boolean {
    const { key } = record;
    if (key !== undefined) {
      if (key.fn === record.fn) return this.mayGoOn(record);
      // A tail call has made it a call of another function.
      this.release(record);
    }
    const wanted = this.keyOf(record);
    if (wanted.isFree) {
      wanted.hold(record);
      return this.mayGoOn(record);
    }
    wanted.push(record);
    return false;
  }

  /** The call has a place among those of this process; other processes may have the key. */
  private mayGoOn(record: CallRecord): boolean {
    return this.core.fleet?.keys.take(record) ?? true;
  }

  /** Whether so many calls wait here for a key that others need not. */
  isCrowded(endpoint: string, name: string, key: string): boolean {
    if (key === '' || this.core.fleet === undefined) return false;
    return (this.core.functions.find(endpoint, name)?.keys.get(key)?.length ?? 0) >= CROWD;
  }

  /** Whether the call, which has not begun, is behind so many. */
  isCrowdedOut({ fn, header, key, parent, queue }: CallRecord): boolean {
    if (key !== undefined || parent !== undefined || queue !== undefined) return false;
    return this.isCrowded(fn.endpoint, fn.name, header.key);
  }

  /**
   * A call that has begun in an earlier process holds its key, whatever the limit is now.
   * @param earlier.wasRunning when that process ended
   * @param earlier.hasKey the store says so, where processes share it: it may not have begun
   */
  restore(record: CallRecord, earlier: { readonly wasRunning: boolean; readonly hasKey: boolean }): void {
    const { progress, header } = record;
    const begun = earlier.wasRunning || record.hasState || progress.attempt > 0 || progress.crashes > 0;
    if (header.key !== '' && (begun || earlier.hasKey)) this.keyOf(record).hold(record);
    if (earlier.hasKey) this.core.fleet?.keys.keep(record);
  }

  /** The call has ended, or is one of another function: the next in line may begin. */
  release(record: CallRecord): void {
    const { key } = record;
    if (key === undefined) return;
    record.key = undefined;
    this.core.fleet?.keys.leave(record, key.fn);
    this.letGo(key);
  }

  /** Another process has the call from now on, with the key that it may hold. */
  handOver(record: CallRecord): void {
    const { key } = record;
    this.core.fleet?.keys.forget(record);
    if (key === undefined) return;
    record.key = undefined;
    this.letGo(key);
  }

  /** The limit of the function has changed. */
  admitAll(fn: FunctionEntry): void {
    for (const key of [...fn.keys.values()]) this.admit(key);
  }

  private letGo(key: Key): void {
    key.holders -= 1;
    this.admit(key);
    if (key.isUnused) key.fn.keys.delete(key.name);
  }

  private admit(key: Key): void {
    for (let next = key.isFree ? key.next() : undefined; next; next = key.isFree ? key.next() : undefined) {
      this.core.readiness.evaluate(next);
    }
  }

  private keyOf({ fn, header }: CallRecord): Key {
    let key = fn.keys.get(header.key);
    if (key === undefined) fn.keys.set(header.key, (key = new Key(fn, header.key)));
    return key;
  }
}
