import type { DispatchId } from '../store.js';
import type { CallOutcome } from './calls.js';
import { resultBytes } from './payloads.js';

const MOST_OUTCOMES = 10_000;
const MOST_BYTES = 8 * 1024 * 1024;

/**
 * How calls ended that nobody was waiting for yet: who dispatches many calls often asks for their results only then. The
 * oldest are let go of; the store has them all.
 */
export class RecentOutcomes {
  private readonly outcomes = new Map<DispatchId, CallOutcome>();
  private bytes = 0;

  add(outcome: CallOutcome): void {
    const bytes = resultBytes(outcome.result);
    if (bytes > MOST_BYTES) return;
    this.forget(outcome.id);
    this.outcomes.set(outcome.id, outcome);
    this.bytes += bytes;
    for (const id of this.outcomes.keys()) {
      if (this.outcomes.size <= MOST_OUTCOMES && this.bytes <= MOST_BYTES) return;
      this.forget(id);
    }
  }

  get(id: DispatchId): CallOutcome | undefined {
    return this.outcomes.get(id);
  }

  /** The call is removed, or begins again. */
  forget(id: DispatchId): void {
    const outcome = this.outcomes.get(id);
    if (outcome === undefined) return;
    this.bytes -= resultBytes(outcome.result);
    this.outcomes.delete(id);
  }
}
