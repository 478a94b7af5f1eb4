import type { Core } from './core.js';
import { Task } from './timers.js';

/** Calls that are removed at a time, so that no commit takes more than some milliseconds. */
const SLICE = 500;

/** Removes trees whose root finished long ago, and what else nobody can reach. */
export class Retention {
  /** Slices that were removed, or could not be. */
  slices = 0;
  private readonly sweep = new Task(() => void this.purge());

  constructor(private readonly core: Core) {}

  start(): void {
    const { settings, timers, clock } = this.core;
    if (settings.retention !== Infinity || this.core.fleet)
      timers.set(this.sweep, clock.now() + settings.purgeInterval);
  }

  private async purge(): Promise<void> {
    try {
      while (this.core.active && (await this.purgeSlice()));
      if (this.core.active) await this.core.fleet?.sweep();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.core.log.warn(`Old calls could not be removed: ${reason}. It is tried again in some minutes.`);
    }
    if (this.core.active) this.start();
  }

  /** Whether there may be more. */
  private async purgeSlice(): Promise<boolean> {
    const { store, settings, clock, records, purging, commits, waits } = this.core;
    if (settings.retention === Infinity) return false;
    const ids = await store.finishedBefore(clock.now() - settings.retention, SLICE);
    if (ids.length === 0 || !this.core.active) return false;
    // A call that has only just ended, or begins again, would be left behind without its tree: that has time.
    if (ids.some((id) => records.has(id))) return false;
    for (const id of ids) {
      purging.add(id);
      waits.forgetOutcome(id);
    }
    try {
      commits.purge(ids);
      await commits.durable();
    } finally {
      this.slices += 1;
      for (const id of ids) purging.delete(id);
    }
    return ids.length === SLICE;
  }
}
