import type { DispatchId } from '../../../lib/scheduler/index.js';
import type { RunningCalls } from '../casualties.js';

/** A process, as far as its death concerns others. */
export interface Mortal {
  readonly id: number;
  /** What it runs, as one sees from outside. */
  readonly running: RunningCalls;
}

/** Calls that ran when one of the processes died, and were marked, until another has counted the crash for them. */
export class FleetCasualties {
  private readonly uncounted = new Map<DispatchId, number>();

  constructor(
    /** Which process the store has been told runs a call. */
    private readonly marks: ReadonlyMap<DispatchId, number>,
  ) {}

  /** It was killed, or is declared dead: for others that is the same. */
  died({ id: process, running }: Mortal): void {
    for (const id of running.suspects()) if (this.marks.get(id) === process) this.uncounted.set(id, process);
  }

  /** It has said that it runs nothing any more: of what nobody has counted by now, nobody does. */
  left({ id: process }: Mortal): void {
    for (const [id, by] of this.uncounted) if (by === process) this.uncounted.delete(id);
  }

  /** Whether a crash may be counted for the call: once for each death. */
  count(id: DispatchId): boolean {
    return this.uncounted.delete(id);
  }
}
