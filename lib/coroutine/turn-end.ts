import type { Clock } from '../protocol/index.js';

export interface Settling {
  /** Called when all microtasks of the turn have run. */
  onTurnEnd(): void;
}

/** Tells runs when the turn of the event loop is over: one deferred callback serves all of them. */
export class TurnEnd {
  private waiting = new Set<Settling>();
  private scheduled = false;

  constructor(private readonly clock: Clock) {}

  schedule(run: Settling): void {
    this.waiting.add(run);
    if (this.scheduled) return;
    this.scheduled = true;
    this.clock.defer(() => this.flush());
  }

  private flush(): void {
    const runs = this.waiting;
    this.waiting = new Set();
    this.scheduled = false;
    for (const run of runs) run.onTurnEnd();
  }
}
