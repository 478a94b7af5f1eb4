import type { SharedStore } from '../store.js';
import type { Core } from './core.js';
import { hasNotBegun, type Departures } from './departures.js';
import type { Neighbours } from './neighbours.js';
import type { Milliseconds } from './options.js';
import type { CallRecord } from './record.js';
import type { Slots } from './slots.js';
import { Task } from './timers.js';

/** A process has too little to do when it has less than it starts in this time. */
const SHORT: Milliseconds = 100;
/** What a process starts in this time it keeps, whoever has too little. */
const KEPT: Milliseconds = 250;
/** How often a process with more than enough says so, and how long it has more than enough before. */
const OFFERS_EVERY: Milliseconds = 100;
/** Calls that are given up at a time. */
const GIVEN_AT_ONCE = 1_000;
/** Calls that are looked at for one that is given up. */
const LOOKED_AT = 10;

export interface SharingParts {
  readonly core: Core;
  readonly store: SharedStore;
  readonly neighbours: Neighbours;
  readonly departures: Departures;
  readonly slots: Slots;
  /** Runs that are started in a millisecond. */
  readonly pace: () => number;
}

/**
 * A process that has more than it starts in a moment says so; one with too little to do asks it for some, and is left half
 * of what waits. A call costs more than twice as much when another process runs it than the one that has it: so nothing
 * is given away that nobody asks for.
 */
export class Sharing {
  private isOffering = false;
  private readonly offer = new Task(() => void this.offerWork());

  constructor(private readonly parts: SharingParts) {}

  /** A turn of the event loop is over: there may be more than enough. */
  turn(): void {
    const { core, neighbours } = this.parts;
    if (this.isOffering || neighbours.count === 0 || this.surplus <= 0) return;
    this.isOffering = true;
    core.timers.set(this.offer, core.clock.now() + OFFERS_EVERY);
  }

  stop(): void {
    this.parts.core.timers.clear(this.offer);
  }

  /** Another process has more than enough. */
  async offered(by: number): Promise<void> {
    const { admission } = this.parts.core;
    if (admission.load >= this.startedIn(SHORT)) return;
    // What cannot be said now is said at the next offer.
    await this.parts.store.askForWork(by, this.startedIn(KEPT)).catch(() => undefined);
  }

  /** Another process asks for so many calls. */
  wanted(count: number): void {
    const most = Math.min(GIVEN_AT_ONCE, count, Math.ceil(this.surplus / 2));
    if (most > 0) for (const call of this.lastInLine(most)) this.parts.departures.release(call);
  }

  private get surplus(): number {
    const { admission, active } = this.parts.core;
    return active ? admission.load - this.startedIn(KEPT) : 0;
  }

  private startedIn(time: Milliseconds): number {
    return Math.max(this.parts.core.settings.concurrency, Math.ceil(this.parts.pace() * time));
  }

  private async offerWork(): Promise<void> {
    this.isOffering = false;
    if (this.surplus <= 0) return;
    this.turn();
    await this.parts.store.offerWork().catch(() => undefined);
  }

  /** Of each function as many as of the others, where there are. */
  private lastInLine(most: number): CallRecord[] {
    const found: CallRecord[] = [];
    const entries = [...this.parts.core.functions.entries()];
    const lines = entries.flatMap(({ turns }) => turns.map((line) => line.fromBehind()));
    let looks = most * LOOKED_AT;
    for (let line = lines.shift(); line !== undefined && found.length < most && looks > 0; line = lines.shift()) {
      const { value: call } = line.next();
      if (call === undefined) continue;
      lines.push(line);
      looks -= 1;
      if (this.mayGo(call)) found.push(call);
    }
    return found;
  }

  /** It has not begun, and can elsewhere. */
  private mayGo(call: CallRecord): boolean {
    const { core, neighbours, slots } = this.parts;
    const { fn, parent } = call;
    // Those with a limit for all processes go where its slots are.
    if (!hasNotBegun(call) || slots.isLimited(fn) || !core.commits.isCommitted(call)) return false;
    // Of another endpoint's errors its caller sees only a part, and which that is is known here.
    if (parent !== undefined && parent.fn.endpoint !== fn.endpoint) return false;
    const isDeclared = core.functions.isDeclared(fn.endpoint) || neighbours.knows(fn.endpoint);
    return !isDeclared || neighbours.has(fn.endpoint, fn.name);
  }
}
