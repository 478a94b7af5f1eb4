import type { Alarm, Clock } from '../../lib/protocol/clock.js';

interface Entry {
  readonly time: number;
  readonly callback: () => void;
}

/** A clock that stands still until a test moves it. What is deferred runs when the event loop turns, as always. */
export class ManualClock implements Clock {
  private readonly entries = new Set<Entry>();

  constructor(private time = Date.UTC(2030, 0, 1)) {}

  /** Alarms that are set. */
  get pending(): number {
    return this.entries.size;
  }

  now(): number {
    return this.time;
  }

  at(time: number, callback: () => void): Alarm {
    const entry = { time, callback };
    this.entries.add(entry);
    return { cancel: () => this.entries.delete(entry) };
  }

  defer(callback: () => void): void {
    setImmediate(callback);
  }

  /** Somebody sets the clock, maybe back: no alarm rings for that. */
  set(time: number): void {
    this.time = time;
  }

  /** When the next alarm rings; undefined when none is set. */
  next(): number | undefined {
    return this.first()?.time;
  }

  /**
   * Moves the time on, and rings on the way what is due, each at its time. After each alarm `settle` is awaited, so that
   * what it set off, and the alarms that this sets, come in the right order.
   */
  async advance(milliseconds: number, settle: () => Promise<unknown> = turns): Promise<void> {
    const end = this.time + milliseconds;
    await settle();
    for (let entry = this.first(); entry !== undefined && entry.time <= end; entry = this.first()) {
      this.entries.delete(entry);
      this.time = Math.max(this.time, entry.time);
      entry.callback();
      await settle();
    }
    this.time = end;
    await settle();
  }

  private first(): Entry | undefined {
    let first: Entry | undefined;
    for (const entry of this.entries) if (first === undefined || entry.time < first.time) first = entry;
    return first;
  }
}

/** Lets the event loop turn a few times. */
export async function turns(count = 4): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
