import type { FunctionEntry } from './function-entry.js';
import type { Milliseconds } from './options.js';
import type { SlotDemand, SlotShare, Timestamp } from '../store.js';
import { StartRate } from './start-rate.js';
import { Task } from './timers.js';

/** Ready calls that a process has at hand: at least so many, and for each slot, and for so much time at its pace. */
const READY_AT_LEAST = 10;
const READY_PER_SLOT = 2;
const READY_FOR: Milliseconds = 500;
/** How long the pace is measured. */
const PACE_OVER: Milliseconds = 50;

/** What this process has of the runs that a function may have in all processes together. */
export class Share {
  /** Runs that may be in flight here, as the store counts them. */
  held = 0;
  /** What the store knows of the demand here. */
  told = 0;
  /** When the last slots were given. */
  since: Timestamp = 0;
  others: SlotShare['others'] = 'content';
  /** Others have said that they want slots, since the store was asked last. */
  wasTold = false;
  /** The store is to be asked, whether there is anything to say or not. */
  isDue = false;
  /** Slots without a use here go to others with the next question; so does the turn, where others have none. */
  gives = false;
  yields = false;
  /** It has waited for slots since the last look around. */
  again = false;
  /** Claims leave calls of the function to others. */
  isPassedOver = false;
  /** Runs that had been started when there was no more use for all slots. */
  startedBefore = 0;
  readonly idleEnd: Task;
  readonly stintEnd: Task;
  private readonly pace = new StartRate(PACE_OVER);

  constructor(
    public fn: FunctionEntry,
    { idle, stint }: { readonly idle: (share: Share) => void; readonly stint: (share: Share) => void },
  ) {
    this.idleEnd = new Task(() => idle(this));
    this.stintEnd = new Task(() => stint(this));
  }

  /** Runs that there would be without other processes. */
  get demand(): number {
    return Math.min(this.fn.limit, this.fn.running + this.fn.ready);
  }

  /** There are slots here that have no use at the moment, and that others could use. */
  get isIdle(): boolean {
    return this.others !== 'content' && this.demand < this.fn.share;
  }

  /** The store still knows of more demand than there is. */
  get isContent(): boolean {
    return this.demand <= this.fn.share && this.told > this.fn.share;
  }

  /** Ready calls that there should be here at most: those beyond wait for a slot of any process. */
  get mostReady(): number {
    const { share } = this.fn;
    return share === 0
      ? 1
      : Math.max(READY_AT_LEAST, READY_PER_SLOT * share, Math.ceil(this.pace.perMillisecond * READY_FOR));
  }

  /** The store has to hear of calls that wait, or of slots that are not used any more. */
  get needsStore(): boolean {
    const { demand, fn, held, told } = this;
    return this.isDue || held > Math.max(fn.share, fn.running) || (demand > fn.share && demand > told);
  }

  measurePace(now: Timestamp): void {
    this.pace.measure(now, this.fn.started);
  }

  /** What the store is asked. No more runs than that are begun until it has answered. */
  ask(): SlotDemand {
    const { fn, demand, yields, again } = this;
    if (this.gives) fn.share = Math.min(fn.share, demand);
    this.isDue = false;
    this.gives = false;
    this.yields = false;
    this.again = false;
    this.wasTold = false;
    this.told = demand;
    const inUse = Math.max(fn.running, fn.share);
    return { endpoint: fn.endpoint, function: fn.name, limit: fn.limit, wanted: demand, inUse, yields, again };
  }

  /** Others have what this process had. */
  lose(): void {
    this.fn.share = 0;
    this.held = 0;
    this.told = 0;
    this.others = 'content';
    this.isDue = false;
    this.gives = false;
    this.yields = false;
    this.again = false;
  }

  /** The same function, declared again. */
  follow(fn: FunctionEntry): void {
    if (fn === this.fn) return;
    fn.share = this.fn.share;
    this.fn = fn;
  }
}
