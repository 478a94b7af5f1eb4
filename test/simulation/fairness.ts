import type { CallProgress, DispatchId, Mutation } from '../../lib/scheduler/index.js';
import type { EventQueue } from './event-queue.js';
import type { Clients, Ledger, LedgerCall } from './ledger.js';
import { FUNCTIONS, LOCAL } from './programs.js';
import type { WallClock } from './simulated-clock.js';
import type { Trace } from './trace.js';

/** How long a call may wait for nothing at all; milliseconds. */
const LONGEST_WAIT = 1_000;
/** So long after the store has failed the scheduler may still leave it alone; milliseconds. */
const STORE_PAUSE = 25_000;
/** How long it may take to read a call that left memory until its time, on the slowest of disks; milliseconds. */
const READING_TAKES = 5_000;
/** From when a call may start until it is surely known to; milliseconds. */
const SURELY = 5;
/** While lower priorities have ready calls, of so many starts in a row one is for them, in turns … */
const LOWER_SHARE = 10;
/** … and not one of so few. */
const LOWER_AT_MOST = 5;
/** Crashes from which on a call starts alone, before all others. */
const SUSPECT_AT = 2;

interface Waiting {
  readonly call: LedgerCall;
  /** Since when nothing of its own keeps it from a run. */
  readySince: number;
  /** Since when there was a slot for it as well. */
  freeSince: number;
}

/**
 * Watches the order in which a process starts calls, as far as it can be known from outside: which roots wait for nothing
 * but their turn, how long, and who is started meanwhile.
 */
export class Fairness {
  private readonly waiting = new Map<DispatchId, Waiting>();
  private readonly running = new Set<DispatchId>();
  /** When each call was started last, in starts. */
  private readonly lastStart = new Map<DispatchId, number>();
  private starts = 0;
  private storeFailedAt = -Infinity;
  private higherInARow = 0;
  private sinceLower = Infinity;

  constructor(
    private readonly ledger: Ledger,
    private readonly clients: Clients,
    private readonly trace: Trace,
    private readonly wall: WallClock,
    private readonly queue: EventQueue,
    private readonly concurrency: number,
    /** How many priorities there are. */
    private readonly priorities: number,
  ) {}

  /** A commit begins. Call what is returned once the scheduler knows that it is done. */
  committing(mutations: readonly Mutation[]): () => void {
    const begun = this.starts;
    for (const mutation of mutations) if ('id' in mutation) this.waiting.delete(mutation.id);
    return () => {
      for (const mutation of mutations) this.committed(mutation, begun);
    };
  }

  storeFailed(): void {
    this.storeFailedAt = this.queue.now;
  }

  /** Runs have ended, and others start, in this order. */
  changed(started: readonly DispatchId[], ended: readonly DispatchId[]): void {
    // All slots were taken until now, and nothing has happened that was looked at.
    if (this.isFull) for (const waiting of this.waiting.values()) waiting.freeSince = this.queue.now;
    for (const id of ended) this.running.delete(id);
    for (const id of started) {
      this.checkTurn(id);
      this.starts += 1;
      this.lastStart.set(id, this.starts);
      this.running.add(id);
      this.waiting.delete(id);
    }
  }

  /** Nobody waits although there is a slot for it. */
  look(): void {
    const { now } = this.queue;
    const { isFull } = this;
    for (const waiting of this.waiting.values()) {
      const { call } = waiting;
      if (this.isHeld(call)) waiting.readySince = waiting.freeSince = now;
      else if (isFull || !this.isFree(call)) waiting.freeSince = now;
      if (now - waiting.freeSince <= LONGEST_WAIT || this.dueFor(call) <= LONGEST_WAIT) continue;
      if (this.storeIsShaky || this.hasSuspects || this.wasClockSet) waiting.freeSince = now;
      else this.trace.violate('a call is ready, there is a slot for it, and it is not started', call.header.id);
    }
  }

  private get isFull(): boolean {
    return this.running.size >= this.concurrency;
  }

  private get storeIsShaky(): boolean {
    return this.queue.now - this.storeFailedAt < STORE_PAUSE;
  }

  private get hasSuspects(): boolean {
    return [...this.ledger.calls.values()].some(({ progress }) => progress.crashes >= SUSPECT_AT);
  }

  private committed(mutation: Mutation, begun: number): void {
    if (mutation.type !== 'create' && mutation.type !== 'replace' && mutation.type !== 'progress') return;
    const id = mutation.type === 'create' ? mutation.header.id : mutation.id;
    this.waiting.delete(id);
    const call = this.ledger.calls.get(id);
    if (call === undefined || !isKnownFromOutside(call) || !isAwaitingRun(mutation.type, call.progress)) return;
    if (this.running.has(id) || (this.lastStart.get(id) ?? 0) > begun) return;
    const { now } = this.queue;
    this.waiting.set(id, { call, readySince: now, freeSince: now });
  }

  /** Time, or what clients have done, keeps the call from a run. */
  private isHeld({ header, progress }: LedgerCall): boolean {
    const { clients, wall } = this;
    return progress.dueAt > wall.now() || clients.hasCancelled(header.id) || clients.hasRetried(header.id);
  }

  /** For how long its time has come, and the scheduler surely has had it at hand. */
  private dueFor({ header, progress }: LedgerCall): number {
    const wasDelayed = progress.attempt === 0 && progress.dueAt > header.createdAt;
    return this.wall.now() - progress.dueAt - (wasDelayed ? READING_TAKES : 0);
  }

  /** Whether neither the limit of its function nor its key are in the way. */
  private isFree({ header, function: name }: LedgerCall): boolean {
    const { concurrency = Infinity } = FUNCTIONS.get(name) ?? {};
    let running = 0;
    if (concurrency < Infinity) {
      for (const id of this.running) if (this.ledger.calls.get(id)?.function === name) running += 1;
    }
    if (running >= concurrency) return false;
    return header.key === '' || !this.sharesKey(header.id, header.key);
  }

  private sharesKey(id: DispatchId, key: string): boolean {
    for (const { header, finished } of this.ledger.calls.values()) {
      if (header.key === key && header.id !== id && finished === undefined) return true;
    }
    return false;
  }

  private checkTurn(id: DispatchId): void {
    this.sinceLower += 1;
    const call = this.ledger.calls.get(id);
    // A call that is not recorded yet is one of a root that is not known from here.
    if (call === undefined || call.progress.crashes >= SUSPECT_AT || this.storeIsShaky) {
      this.higherInARow = 0;
      return;
    }
    const { priority } = call.header;
    const others = this.readyPriorities();
    if (others.some((other) => other > priority)) {
      this.trace.check(this.sinceLower >= LOWER_AT_MOST, 'a call starts before one of a higher priority', id);
      this.sinceLower = 0;
      this.higherInARow = 0;
    } else if (others.some((other) => other < priority)) {
      this.higherInARow += 1;
      // What was seen of it may have been the turn of a lower one, and there is one for each of them.
      const most = LOWER_SHARE * (this.priorities - 1);
      this.trace.check(this.higherInARow <= most, 'lower priorities are starved', id);
    } else {
      this.higherInARow = 0;
    }
  }

  /** Of calls that nothing but their turn keeps from a run. */
  private readyPriorities(): number[] {
    const { now } = this.queue;
    if (this.wasClockSet) return [];
    const priorities: number[] = [];
    for (const { call, readySince } of this.waiting.values()) {
      const isPlain = call.header.key === '' && FUNCTIONS.get(call.function)?.concurrency === undefined;
      const isDue = this.dueFor(call) >= SURELY && now - readySince >= SURELY;
      if (isPlain && isDue && !this.isHeld(call)) priorities.push(call.header.priority);
    }
    return priorities;
  }

  /** Alarms run down as before, however late that is by the new time. */
  private get wasClockSet(): boolean {
    return this.wall.steadyFor !== Infinity;
  }
}

/** Nothing but the call itself, time, and its clients change what it waits for. */
function isKnownFromOutside({ header, endpoint }: LedgerCall): boolean {
  return header.parentId === '' && endpoint === LOCAL && header.expiresAt === undefined;
}

/** A run that has recorded a part of what it did is pending as well. */
function isAwaitingRun(type: 'create' | 'replace' | 'progress', { state, attempt, cancelBy }: CallProgress): boolean {
  return state === 'pending' && cancelBy === undefined && (type !== 'progress' || attempt > 0);
}
