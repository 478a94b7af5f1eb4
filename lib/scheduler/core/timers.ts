import type { Alarm, Clock } from '../../protocol/index.js';
import type { Timestamp } from '../store.js';
import { TimerHeap, type Timed } from './timer-heap.js';

/** A piece of work at a time, for all that is not a call. */
export class Task implements Timed {
  at: Timestamp = Infinity;
  heapIndex = -1;

  constructor(readonly run: () => void) {}
}

/** All times that the scheduler waits for, behind one alarm of the clock. */
export class Timers<T extends Timed> {
  private readonly heap = new TimerHeap<T | Task>();
  private alarm: Alarm | undefined;
  private alarmAt: Timestamp = Infinity;
  private ringing = false;

  constructor(
    private readonly clock: Clock,
    private readonly fire: (item: T) => void,
  ) {}

  /** Fires the item once at that time; Infinity: never. */
  set(item: T | Task, at: Timestamp): void {
    if (at === Infinity) return this.heap.remove(item);
    this.heap.set(item, at);
    if (item.heapIndex === 0) this.arm();
  }

  clear(item: T | Task): void {
    this.heap.remove(item);
  }

  /** Fires nothing any more. */
  stop(): void {
    this.alarm?.cancel();
    this.alarm = undefined;
    this.ringing = true;
  }

  /**
   * An alarm that is earlier than needed is left as it is: it finds nothing due and sets the next one. Most timers are
   * deadlines that never come, and this way they cost no timer of the machine. One that is overdue was set before the clock
   * was set forward, and may ring much later.
   */
  private arm(): void {
    const next = this.heap.peek();
    if (this.ringing || next === undefined) return;
    if (next.at >= this.alarmAt && this.alarmAt > this.clock.now()) return;
    this.alarm?.cancel();
    this.alarmAt = next.at;
    this.alarm = this.clock.at(next.at, () => this.ring());
  }

  private ring(): void {
    this.alarmAt = Infinity;
    this.alarm = undefined;
    this.ringing = true;
    const now = this.clock.now();
    for (let item = this.heap.peek(); item !== undefined && item.at <= now; item = this.heap.peek()) {
      this.heap.remove(item);
      if (item instanceof Task) item.run();
      else this.fire(item);
    }
    this.ringing = false;
    this.arm();
  }
}
