import type { Alarm, Clock } from '../protocol/index.js';

interface Entry {
  readonly time: number;
  readonly callback: () => void;
}

/** Taken when the module is loaded: fake timers of a test framework, installed later, do not stop this clock. */
const nextTurn = globalThis.setImmediate;
const later = globalThis.setTimeout;

/** A clock that stands still until it is moved. What is deferred runs when the event loop turns, as always. */
export class ManualClock implements Clock {
  private readonly entries = new Set<Entry>();

  constructor(private time: number) {}

  now(): number {
    return this.time;
  }

  at(time: number, callback: () => void): Alarm {
    const entry = { time, callback };
    this.entries.add(entry);
    return { cancel: () => void this.entries.delete(entry) };
  }

  defer(callback: () => void): void {
    nextTurn(callback);
  }

  /** When the next alarm rings; undefined when none is set. */
  get next(): number | undefined {
    return this.first()?.time;
  }

  /** Moves the time to the next alarm, or to `time` if that is earlier, and rings what is due first. Never moves it back. */
  moveTo(time: number): void {
    const entry = this.first();
    if (entry === undefined || entry.time > time) {
      this.time = Math.max(this.time, time);
      return;
    }
    this.entries.delete(entry);
    this.time = Math.max(this.time, entry.time);
    entry.callback();
  }

  /** The earliest alarm; of several at one time the one that was set first. */
  private first(): Entry | undefined {
    let first: Entry | undefined;
    for (const entry of this.entries) if (first === undefined || entry.time < first.time) first = entry;
    return first;
  }
}

/** Lets the event loop turn once, or as often as that. */
export async function turns(count = 1): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => nextTurn(resolve));
}

/** Lets a millisecond of real time pass. */
export function aMillisecond(): Promise<void> {
  return new Promise((resolve) => later(resolve, 1));
}
