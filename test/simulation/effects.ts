import { wasCutShort, type Outcome } from './oracle.js';
import type { Trace } from './trace.js';

/** What the code of functions has done and seen, in all processes and runs together. */
export class Effects {
  private readonly visits = new Map<string, number>();
  private readonly produced = new Set<string>();
  private readonly observed = new Map<string, Map<string, string>>();

  constructor(private readonly trace: Trace) {}

  /** Counts how often a call has come to something, this time included. */
  visit(call: string, expression: number): number {
    const key = `${call} ${expression}`;
    const count = (this.visits.get(key) ?? 0) + 1;
    this.visits.set(key, count);
    return count;
  }

  /** A value that no other run of any step has produced. */
  produce(expression: number): string {
    const value = `step ${expression} value ${this.produced.size}`;
    this.produced.add(value);
    return value;
  }

  wasProduced(value: string): boolean {
    return this.produced.has(value);
  }

  /**
   * What a durable operation resulted in, as the function has seen it. Whenever it sees it again, in another run or
   * process, it has to be the same.
   */
  observe(call: string, incarnation: number, expression: number, outcome: Outcome): void {
    if (wasCutShort(outcome)) return;
    const key = `${incarnation} ${expression}`;
    const seen = JSON.stringify(outcome);
    const ofCall = this.observed.get(call) ?? new Map<string, string>();
    this.observed.set(call, ofCall);
    const before = ofCall.get(key);
    if (before === undefined) ofCall.set(key, seen);
    else this.trace.check(before === seen, `a function sees ${seen} where it has seen ${before}`, call);
  }

  /** A call was removed for good: another may have its id. */
  forget(call: string): void {
    this.observed.delete(call);
  }
}
