import type { DispatchId } from '../store.js';
import type { Core } from './core.js';
import type { Run } from './run.js';

/** Turns of the event loop after which the mark of a run that has ended goes by itself. */
const MARKED_FOR = 3;

/**
 * Has the store note which runs are in flight, for the count of crashes: before they start. The mark of a run that has ended
 * goes with those of runs that start, or by itself a few turns later, or stays because the call is run again: so a function
 * that awaits one call after the other takes one write a call.
 */
export class RunMarks {
  private turn = 0;
  /** Calls that the store has marked. */
  private readonly marked = new Set<DispatchId>();
  /** Those of them whose runs have ended, and in which turn: the oldest first. */
  private readonly ended = new Map<DispatchId, number>();
  /** Those of them that run on, and are to be marked no more. */
  private letGo: DispatchId[] = [];

  constructor(private readonly core: Core) {}

  nextTurn(): void {
    this.turn += 1;
    const [oldest] = this.ended.values();
    // What is being committed may let calls go on. There is another turn once that is done.
    if (oldest === undefined || !this.core.commits.isIdle) return;
    const isWritten = this.turn - oldest < MARKED_FOR || this.write([], this.endedEarlier());
    // What could not be written is tried again in the turns that come anyway.
    if (isWritten && this.ended.size > 0) this.core.requestTurn();
  }

  /** These are about to start. */
  starting(runs: readonly Run[]): void {
    const unmarked: DispatchId[] = [];
    for (const { record } of runs) {
      if (this.marked.has(record.id) && !this.letGo.includes(record.id)) this.ended.delete(record.id);
      else unmarked.push(record.id);
    }
    if (unmarked.length + this.letGo.length > 0) this.write(unmarked, this.endedEarlier());
  }

  end({ record }: Run): void {
    if (this.marked.has(record.id)) this.ended.set(record.id, this.turn);
  }

  /** A run that goes on is not to be counted any more, from the next start on. */
  release({ record }: Run): void {
    if (this.marked.has(record.id)) this.letGo.push(record.id);
  }

  /** Writes what has been put off. */
  flush(): void {
    this.write([], [...this.ended.keys()]);
  }

  /** Those whose runs have ended in an earlier turn: what ended in this one may go on in the next. */
  private endedEarlier(): DispatchId[] {
    const ids: DispatchId[] = [];
    for (const [id, turn] of this.ended) {
      if (turn === this.turn) break;
      ids.push(id);
    }
    return ids;
  }

  /** False: the store could not note it. */
  private write(started: readonly DispatchId[], ended: readonly DispatchId[]): boolean {
    const gone = [...this.letGo, ...ended];
    if (started.length + gone.length === 0) return true;
    try {
      this.core.store.markRunning(started, gone);
    } catch (error) {
      // Only the count of crashes depends on it.
      this.core.outage.marksFailed(error);
      return false;
    }
    this.letGo = [];
    for (const id of gone) {
      this.marked.delete(id);
      this.ended.delete(id);
    }
    for (const id of started) this.marked.add(id);
    return true;
  }
}
