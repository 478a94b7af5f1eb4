import type { EndpointEntry } from './endpoint-entry.js';
import type { CallRecord, CallQueue } from './record.js';
import { Level } from './turns.js';

/** While several priorities have ready calls, one start in so many goes to a lower one than the highest. */
const LOWER_SHARE = 10;

/**
 * Calls that may run now. Those of the highest priority go first, but one start in ten is for the lower priorities, in
 * turns, so that nothing starves. Within a priority endpoints, functions and root calls take turns.
 */
export class ReadyQueue implements CallQueue {
  /** One for each priority that was ever used, the highest first: there are not many. */
  private readonly levels: Level[] = [new Level(0)];
  private count = 0;
  private takenFromHighest = 0;
  /** The lower priority that had the last turn. */
  private lastLower = Infinity;

  /** @param admits whether an endpoint may be given a call */
  constructor(private readonly admits: (endpoint: EndpointEntry) => boolean) {}

  /** Calls in the queue, those behind a limit included. */
  get size(): number {
    return this.count;
  }

  /** Whether there are calls that nothing but a free slot of the process is needed for. */
  get hasTurn(): boolean {
    for (const level of this.levels) if (!level.endpoints.isEmpty) return true;
    return false;
  }

  push(call: CallRecord): void {
    if (call.queue) return;
    call.queue = this;
    this.count += 1;
    this.level(call.header.priority).turnsOf(call.fn).add(call);
  }

  /** The call whose turn it is. */
  take(): CallRecord | undefined {
    if (this.count === 0) return undefined;
    const call = (this.levels.length > 1 ? this.takeLower() : undefined) ?? this.takeHighest();
    if (call) this.forget(call);
    return call;
  }

  /** Takes out a call that is not to run any more. */
  remove(call: CallRecord): void {
    if (call.queue !== this) return;
    call.lane?.owner.remove(call);
    this.forget(call);
  }

  private takeHighest(): CallRecord | undefined {
    for (const level of this.levels) {
      const call = level.take(this.admits);
      if (call) return call;
    }
    return undefined;
  }

  /** One call of a lower priority, when it is time for one. */
  private takeLower(): CallRecord | undefined {
    const highest = this.levels.findIndex((level) => !level.endpoints.isEmpty);
    if (highest < 0 || ++this.takenFromHighest < LOWER_SHARE) return undefined;
    this.takenFromHighest = 0;
    const lower = this.levels.slice(highest + 1);
    const after = lower.filter((level) => level.priority < this.lastLower);
    for (const level of [...after, ...lower]) {
      const call = level.take(this.admits);
      if (call === undefined) continue;
      this.lastLower = level.priority;
      return call;
    }
    return undefined;
  }

  private forget(call: CallRecord): void {
    call.queue = undefined;
    this.count -= 1;
  }

  private level(priority: number): Level {
    const { levels } = this;
    let place = 0;
    for (; place < levels.length; place++) {
      const level = levels[place];
      if (level?.priority === priority) return level;
      if (level && level.priority < priority) break;
    }
    const level = new Level(priority);
    levels.splice(place, 0, level);
    return level;
  }
}
