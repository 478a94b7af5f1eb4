import type { FunctionEntry } from './function-entry.js';
import type { Pace } from './pace.js';
import type { CallRecord } from './record.js';
import { Task } from './timers.js';
import type { EndpointTurns } from './turns.js';

/** An application that runs functions, shared by all of them. */
export class EndpointEntry {
  readonly functions = new Map<string, FunctionEntry>();
  /** Runs in flight. */
  running = 0;
  /** Where its ready calls take turns, for each priority that they have had. */
  readonly turns: EndpointTurns[] = [];
  /** Some of them are kept from their turns. */
  waits = false;
  /** Calls that are to be made again, and failed because the endpoint is down. */
  readonly lost = new Set<CallRecord>();
  /** Goes off when it may be given calls again. */
  readonly alarm: Task;

  /** @param pace how many runs it is given at a time; undefined for this application itself */
  constructor(
    readonly url: string,
    readonly pace: Pace | undefined,
    rested: (endpoint: EndpointEntry) => void,
  ) {
    this.alarm = new Task(() => rested(this));
  }

  /** Something has changed that kept its calls from their turns. */
  resume(): void {
    if (!this.waits) return;
    this.waits = false;
    for (const turns of this.turns) turns.resume();
  }
}
