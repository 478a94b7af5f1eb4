import type { SharedStore, SlotDemand, SlotShare } from '../store.js';
import type { Core } from './core.js';
import { functionKey, type FunctionEntry } from './function-entry.js';
import type { Neighbours } from './neighbours.js';
import type { Milliseconds } from './options.js';
import { Share } from './slot-share.js';

/** How long slots are used before others that have none have their turn. */
const STINT: Milliseconds = 250;
/** How long a slot has no use before it goes to others that have one: calls for it may be on their way. */
const IDLE: Milliseconds = 50;

/**
 * Where processes share the store: this one's slots of the limits that functions have. They are parts of one number that
 * the store keeps, so that all processes together start no more than that. A process keeps what it was given, and says
 * nothing more, until it has more calls than slots, or others have too few for theirs.
 */
export class Slots {
  private readonly shares = new Map<string, Share>();
  /** Slots of functions that have no limit any more. */
  private gone: SlotDemand[] = [];
  private asking: Promise<void> | undefined;
  /** Counts how often all was lost. */
  private epoch = 0;
  /** The store could not answer: it is asked again with the next look around. */
  private hasFailed = false;

  constructor(
    private readonly core: Core,
    private readonly store: SharedStore,
    private readonly neighbours: Neighbours,
  ) {}

  get isIdle(): boolean {
    return this.asking === undefined && !(this.core.active && this.needsStore);
  }

  /** Ready calls that wait for a slot: they are no work for this process yet. */
  get waiting(): number {
    let waiting = 0;
    for (const { fn } of this.shares.values()) waiting += Math.max(0, fn.ready - fn.share);
    return waiting;
  }

  /** Limits were declared, here or by another process. */
  limitsChanged(): void {
    const { core, shares } = this;
    if (!core.settings.run) return;
    const limited = new Set<string>();
    for (const fn of core.functions.declaredEntries()) {
      if (fn.hearOf(this.neighbours.limitsOf(fn.endpoint, fn.name))) {
        fn.resume();
        core.keys.admitAll(fn);
        core.admission.requestPump();
      }
      if (fn.limit === Infinity) continue;
      limited.add(functionKey(fn));
      this.limit(fn);
    }
    for (const [name, share] of shares) if (!limited.has(name)) this.free(name, share);
  }

  /** Whether the function has so many runs at a time in all processes together. */
  isLimited(fn: FunctionEntry): boolean {
    return this.shares.has(functionKey(fn));
  }

  /** Whether there are more ready calls of the function here than its slots will soon be free for. */
  isCrowded(endpoint: string, name: string): boolean {
    const share = this.shares.get(functionKey({ endpoint, name }));
    return share !== undefined && share.fn.ready >= share.mostReady;
  }

  /** How many free branches of the function may be claimed; undefined: any number. */
  roomFor(fn: FunctionEntry): number | undefined {
    const share = this.shares.get(functionKey(fn));
    if (share === undefined) return undefined;
    const room = Math.max(0, share.mostReady - share.fn.ready);
    share.isPassedOver = room === 0;
    return room;
  }

  /** Whether calls that claims left to others may be taken now. */
  takeRoom(): boolean {
    let hasRoom = false;
    const now = this.core.clock.now();
    for (const share of this.shares.values()) {
      share.measurePace(now);
      if (!share.isPassedOver || share.fn.ready > share.mostReady / 2) continue;
      share.isPassedOver = false;
      hasRoom = true;
    }
    return hasRoom;
  }

  /** Other processes want slots, or have given back some. */
  changed(): void {
    for (const share of this.shares.values()) {
      if (share.demand > share.fn.share) share.isDue = true;
      else if (share.held > 0) this.share(share, 'want a turn');
      share.wasTold = true;
    }
    this.core.requestTurn();
  }

  /** This process is a new one, which has nothing. */
  forgetAll(): void {
    this.epoch += 1;
    this.gone = [];
    for (const share of this.shares.values()) {
      this.stopTimers(share);
      share.lose();
    }
  }

  flush(): void {
    this.watchIdleSlots();
    if (this.asking !== undefined || !this.core.active || !this.needsStore) return;
    this.asking = this.ask().finally(() => {
      this.asking = undefined;
      this.core.requestTurn();
    });
  }

  /** Asks again for what it waits for: processes that have it may be no more, or may not have heard of it. */
  async look(): Promise<void> {
    this.hasFailed = false;
    for (const share of this.shares.values()) {
      if (share.demand <= share.fn.share) continue;
      share.isDue = true;
      share.again = true;
    }
    this.flush();
    await this.asking;
  }

  private get needsStore(): boolean {
    if (this.hasFailed) return false;
    if (this.gone.length > 0) return true;
    for (const share of this.shares.values()) if (share.needsStore) return true;
    return false;
  }

  private async ask(): Promise<void> {
    const { epoch } = this;
    const due = [...this.shares.values()].filter((share) => share.needsStore);
    const demands = [...due.map((share) => share.ask()), ...this.gone];
    this.gone = [];
    try {
      const answers = await this.store.shareSlots(demands);
      if (epoch !== this.epoch) return;
      answers.forEach((answer, nth) => {
        const share = due[nth];
        if (share !== undefined && this.shares.get(functionKey(share.fn)) === share) {
          this.take(share, answer, demands[nth]?.yields ?? false);
        }
      });
    } catch {
      this.hasFailed = true;
    }
  }

  private take(share: Share, { slots, held, others }: SlotShare, hasYielded: boolean): void {
    const { fn } = share;
    if (slots > fn.share || hasYielded) share.since = this.core.clock.now();
    share.held = held;
    fn.share = slots;
    // What it was told meanwhile may be newer than the answer.
    this.share(share, share.wasTold ? 'want a turn' : others);
    fn.resume();
    this.core.admission.requestPump();
  }

  /** Has others have their turn when that of this process is over. */
  private share(share: Share, others: SlotShare['others']): void {
    const { clock, timers } = this.core;
    share.others = others;
    const isContended = others === 'want a turn' && share.held > 0;
    timers.set(share.stintEnd, isContended ? Math.max(clock.now(), share.since + STINT) : Infinity);
  }

  private endStint(share: Share): void {
    share.isDue = true;
    share.gives = true;
    share.yields = true;
    this.core.requestTurn();
  }

  private watchIdleSlots(): void {
    const { clock, timers } = this.core;
    for (const share of this.shares.values()) {
      if (!(share.isIdle || share.isContent) || share.idleEnd.heapIndex >= 0) continue;
      share.startedBefore = share.fn.started;
      timers.set(share.idleEnd, clock.now() + IDLE);
    }
  }

  private endIdling(share: Share): void {
    share.gives ||= share.isIdle && share.fn.started === share.startedBefore;
    share.isDue ||= share.gives || share.isContent;
    this.core.requestTurn();
  }

  private limit(fn: FunctionEntry): void {
    const known = this.shares.get(functionKey(fn));
    if (known !== undefined) {
      known.follow(fn);
      known.isDue ||= known.held > fn.limit;
      return;
    }
    fn.share = 0;
    const share = new Share(fn, {
      idle: (idle) => this.endIdling(idle),
      stint: (over) => this.endStint(over),
    });
    this.shares.set(functionKey(fn), share);
  }

  private free(name: string, share: Share): void {
    const { fn } = share;
    this.stopTimers(share);
    this.shares.delete(name);
    if (share.held > 0) {
      const [wanted, inUse] = [0, 0];
      this.gone.push({
        endpoint: fn.endpoint,
        function: fn.name,
        limit: Infinity,
        wanted,
        inUse,
        yields: false,
        again: false,
      });
    }
    fn.share = Infinity;
    fn.resume();
    this.core.admission.requestPump();
  }

  private stopTimers(share: Share): void {
    this.core.timers.clear(share.stintEnd);
    this.core.timers.clear(share.idleEnd);
  }
}
