import type { CallRow, DispatchId, Timestamp } from '../store.js';
import type { Core } from './core.js';
import { Deque } from './deque.js';
import type { Milliseconds } from './options.js';
import type { CallRecord } from './record.js';
import { restoreCall } from './recovery.js';
import { Task } from './timers.js';

/** Calls that are read at a time. */
const READ_AT_ONCE = 64;
/** When calls are read again that could not be. */
const READ_AGAIN: Milliseconds = 1_000;

/** What the store does not tell of a call: its `highestCorrelation`. */
type Remainder = bigint | undefined;

/**
 * Calls that do nothing but sleep for long leave memory, once no live instance of them is left: of each the id stays. Those
 * whose time comes in the same span of time come back together, at its beginning; and each of them when somebody needs it.
 * Roots alone do: others are known to those that called them. And where processes share the store, none do.
 */
export class Sleepers {
  private readonly asleep = new Map<DispatchId, Remainder>();
  /** By the beginning of each span, whom it wakes: calls that have come back before among them. */
  private readonly wakings = new Map<Timestamp, DispatchId[]>();
  /** Calls that are being read. One is not read twice at a time: the later answer would be outdated. */
  private readonly reading = new Map<DispatchId, Promise<void>>();
  private readonly due = new Deque<DispatchId>();
  private isWaking = false;
  /** Those that have not begun. */
  private delayed = 0;
  private readonly span: Milliseconds;

  constructor(private readonly core: Core) {
    this.span = Math.max(1, core.settings.longSleep / 6);
  }

  /** None of them is about to come back. */
  get isIdle(): boolean {
    return !this.isWaking;
  }

  /** How many have left memory. */
  get counts(): { readonly delayed: number; readonly suspended: number } {
    return { delayed: this.delayed, suspended: this.asleep.size - this.delayed };
  }

  has(id: DispatchId): boolean {
    return this.asleep.has(id);
  }

  /** Has a call leave memory where it has nothing to do but to sleep for long. */
  consider(record: CallRecord): void {
    if (!this.mayLeave(record)) return;
    const { core } = this;
    const { id, at } = record;
    core.timers.clear(record);
    core.payloads.takeInput(record);
    core.functions.release(record.fn);
    core.records.delete(id);
    core.intake.noteLeft(id);
    this.asleep.set(id, record.highestCorrelation);
    if (record.progress.state === 'pending') this.delayed += 1;
    this.wakeAt(Math.floor(at / this.span) * this.span, id);
  }

  /**
   * Resolves when the call is in memory, where it was one of these.
   *
   * @throws StoreError when it could not be read
   */
  async recall(id: DispatchId): Promise<void> {
    if (!this.asleep.has(id)) return;
    let reading = this.reading.get(id);
    if (reading === undefined) {
      reading = this.read(id).finally(() => this.reading.delete(id));
      this.reading.set(id, reading);
    }
    return reading;
  }

  private mayLeave(record: CallRecord): boolean {
    const { header, progress } = record;
    if (header.parentId !== '' || record.run !== undefined || record.warm || record.heapIndex < 0) return false;
    if (record.children !== undefined || record.undelivered > 0 || record.inboxEnd !== progress.delivered) return false;
    if (progress.state !== 'suspended' && progress.state !== 'pending') return false;
    if (progress.attempt > 0 || progress.crashes > 0 || record.isCancelling || header.key !== '') return false;
    const { core } = this;
    const now = core.clock.now();
    return (
      record.at - now > core.settings.longSleep &&
      core.active &&
      core.fleet === undefined &&
      !core.outage.isPaused &&
      record.queue === undefined &&
      core.readiness.isStartable(record) &&
      !core.readiness.isDue(record, now)
    );
  }

  private wakeAt(time: Timestamp, id: DispatchId): void {
    const ids = this.wakings.get(time);
    if (ids !== undefined) {
      ids.push(id);
      return;
    }
    this.wakings.set(time, [id]);
    this.core.timers.set(new Task(() => this.wake(time)), time);
  }

  private wake(time: Timestamp): void {
    for (const id of this.wakings.get(time) ?? []) this.due.push(id);
    this.wakings.delete(time);
    if (!this.isWaking) void this.wakeDue();
  }

  /** However many there are, as after a night in which the machine was off, few are read at a time. */
  private async wakeDue(): Promise<void> {
    this.isWaking = true;
    while (this.due.size > 0) {
      const ids = this.takeDue();
      try {
        await Promise.all(ids.map((id) => this.recall(id)));
      } catch (error) {
        this.readFailed(ids, error);
      }
    }
    this.isWaking = false;
    this.core.requestTurn();
  }

  private takeDue(): DispatchId[] {
    const ids: DispatchId[] = [];
    while (ids.length < READ_AT_ONCE) {
      const id = this.due.shift();
      if (id === undefined) break;
      ids.push(id);
    }
    return ids;
  }

  private readFailed(ids: readonly DispatchId[], error: unknown): void {
    const { core, due } = this;
    if (!core.active) return due.clear();
    core.outage.recallFailed(error);
    const again = core.clock.now() + READ_AGAIN;
    for (const id of ids) if (this.asleep.has(id)) this.wakeAt(again, id);
    for (let id = due.shift(); id !== undefined; id = due.shift()) this.wakeAt(again, id);
  }

  /** Nothing happens to a call that sleeps: what is read is what it is. */
  private async read(id: DispatchId): Promise<void> {
    const row = await this.core.store.get(id);
    const highestCorrelation = this.asleep.get(id);
    this.asleep.delete(id);
    if (row === undefined) return;
    if (row.progress.state === 'pending') this.delayed -= 1;
    this.core.readiness.evaluate(this.restore(row, highestCorrelation));
  }

  private restore(row: CallRow, highestCorrelation: Remainder): CallRecord {
    const record = restoreCall(this.core, row);
    record.highestCorrelation = highestCorrelation;
    return record;
  }
}
