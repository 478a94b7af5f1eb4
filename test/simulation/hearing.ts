import type { DispatchId } from '../../lib/scheduler/index.js';
import type { Ledger } from './ledger.js';
import { wasCutShort, type Outcome } from './oracle.js';
import type { Trace } from './trace.js';

/**
 * What one run of a function hears of its calls, from its first line on: their results have to come in the order in which
 * the scheduler has recorded them, live and in each replay.
 */
export class Hearing {
  private lastPlace = 0;
  /** How many results of calls with the same input were heard: the first one made has the first of their places. */
  private readonly heard = new Map<unknown, number>();

  constructor(
    private readonly ledger: Ledger,
    private readonly trace: Trace,
    private readonly id: DispatchId,
    private readonly incarnation: () => number,
  ) {}

  /** The function goes on with the result of a call that it gave this input. */
  hear(input: unknown, outcome: Outcome): void {
    if (wasCutShort(outcome)) return;
    const count = this.heard.get(input) ?? 0;
    this.heard.set(input, count + 1);
    const place = this.ledger.placesOf(this.id, this.incarnation(), input)[count];
    if (place === undefined) return;
    this.trace.check(place > this.lastPlace, 'a function hears of results in another order than recorded', this.id);
    this.lastPlace = place;
  }
}
