import type { DispatchId, KeyedCall, SharedStore } from '../store.js';
import type { Core } from './core.js';
import type { FunctionEntry } from './function-entry.js';
import type { CallQueue, CallRecord } from './record.js';

/** Calls that are put in line together, at most. */
const MOST_AT_ONCE = 500;

/**
 * Where processes share the store: the calls of this one whose keys others may have. They stand in a line that the store
 * keeps; who is first gets the key, in whatever process. Calls that the limit of this process alone holds back are not in it.
 */
export class KeyLine implements CallQueue {
  /** In line, or about to be. */
  private readonly waiting = new Map<DispatchId, CallRecord>();
  private readonly toAsk = new Set<DispatchId>();
  private readonly given = new Set<CallRecord>();
  private leaving: KeyedCall[] = [];
  private asking: Promise<void> | undefined;

  constructor(
    private readonly core: Core,
    private readonly store: SharedStore,
  ) {}

  get isIdle(): boolean {
    return this.asking === undefined && this.toAsk.size === 0 && this.leaving.length === 0;
  }

  /** Whether the call has its key; else it is in line, and is looked at again when it does. */
  take(record: CallRecord): boolean {
    if (this.given.has(record)) return true;
    record.queue = this;
    this.waiting.set(record.id, record);
    this.toAsk.add(record.id);
    this.core.requestTurn();
    return false;
  }

  /** Another process had the call, and its key. */
  keep(record: CallRecord): void {
    this.given.add(record);
  }

  /** The call has ended, or is one of another function. */
  leave(record: CallRecord, fn: FunctionEntry): void {
    this.given.delete(record);
    this.leaving.push(keyed(record, fn));
    this.core.requestTurn();
  }

  remove(record: CallRecord): void {
    record.queue = undefined;
    this.waiting.delete(record.id);
    this.toAsk.delete(record.id);
  }

  /** The store has given the call its key. */
  give(id: DispatchId): void {
    const record = this.waiting.get(id);
    if (record === undefined) return;
    this.remove(record);
    this.given.add(record);
    this.core.readiness.evaluate(record);
  }

  /** The call is in other hands, with its key. */
  forget(record: CallRecord): void {
    this.given.delete(record);
  }

  /** The same with all calls. */
  forgetAll(): void {
    this.waiting.clear();
    this.toAsk.clear();
    this.given.clear();
    this.leaving = [];
  }

  /** Asks for all that are in line: notifications can be lost, and so can the processes that had the keys. */
  async look(): Promise<void> {
    for (const id of this.waiting.keys()) this.toAsk.add(id);
    this.flush();
    // What cannot be called up now is with the next look around.
    await Promise.all([this.asking, this.store.callUp().catch(() => undefined)]);
  }

  flush(): void {
    if (this.asking !== undefined || this.isIdle) return;
    this.asking = this.ask().finally(() => {
      this.asking = undefined;
      if (!this.isIdle) this.core.requestTurn();
    });
  }

  /** Resolves when the store knows who has left. */
  async settle(): Promise<void> {
    this.toAsk.clear();
    await this.asking;
    this.flush();
    await this.asking;
  }

  private async ask(): Promise<void> {
    const ids = [...this.toAsk].slice(0, MOST_AT_ONCE);
    for (const id of ids) this.toAsk.delete(id);
    const wanting = ids.flatMap((id) => {
      const record = this.waiting.get(id);
      return record === undefined ? [] : keyed(record, record.fn);
    });
    const leaving = this.leaving.splice(0, MOST_AT_ONCE);
    try {
      for (const id of await this.store.shareKeys(wanting, leaving)) this.give(id);
    } catch {
      // Who is in line asks again with the next look around, and the store finds out itself which calls have ended.
      return;
    }
  }
}

function keyed({ id, header }: CallRecord, fn: FunctionEntry): KeyedCall {
  return { id, endpoint: fn.endpoint, function: fn.name, key: header.key, perKey: fn.perKey };
}
