import type { Timestamp } from '../store.js';
import type { Milliseconds } from './options.js';

/** How many runs are started in a millisecond, as of lately. */
export class StartRate {
  perMillisecond = 0;
  private measured = { at: 0, started: 0 };

  /** @param over how long it is measured */
  constructor(private readonly over: Milliseconds) {}

  /** @param started runs that were started since the beginning */
  measure(now: Timestamp, started: number): void {
    const time = now - this.measured.at;
    if (time < this.over) return;
    this.perMillisecond = (started - this.measured.started) / time;
    this.measured = { at: now, started };
  }
}
