import type { RunAnswer } from '../../lib/protocol/index.js';
import { Status, TimeoutError } from '../../lib/errors/index.js';
import type { DispatchId } from '../../lib/scheduler/index.js';
import type { EventQueue } from './event-queue.js';
import type { Ledger } from './ledger.js';
import type { Trace } from './trace.js';
import type { Strain } from './strained-endpoint.js';

/** Complaints of as many round trips, one after the other, tell a process what an endpoint can take, wherever it began. */
const COMPLAINTS_TO_LEARN = 6;
/** Then it is given no more than this. */
const mostOf = ({ capacity }: Strain): number => capacity * 1.25 + 3;
/** While there are calls left, an endpoint that is well is given this part of what it can take, at least … */
const LEAST_USE = 0.5;
/** … after a while, and on the average of a while; in the times that a request takes, and milliseconds. */
const ROUND_TRIPS_TO_LEARN = 10;
const ROUND_TRIPS_TO_JUDGE = 10;
const TRAVEL = 60;
/** As many requests in a row without an answer tell that an endpoint is away. */
const LOST_IN_A_ROW = 5;
/** Then there is one request after the other, … */
const SHORTEST_PAUSE = 200;
/** … so many in ten seconds … */
const WHILE = 10_000;
const MOST_TRIES = 8;
/** … and not fewer than one in this time, so that it is soon found when it is back; milliseconds. */
const LONGEST_PAUSE = 20_000;
/** What the scheduler's own work may take; milliseconds. */
const SLACK = 5_000;

interface Request {
  readonly order: number;
  readonly begunAt: number;
}

/** Watches how a process treats an endpoint that cannot take all that there is to do. */
export class Restraint {
  private readonly running = new Map<DispatchId, Request>();
  private order = 0;
  /** It asked to be left alone until then. */
  private restsUntil = -Infinity;
  private heardAt = -Infinity;
  /** Complaints about requests that began after the one before. */
  private complaints = 0;
  private complainedAt = 0;
  private lostInARow = 0;
  private lastAnswered = 0;
  private readonly tries: number[] = [];
  private lastStart: number;
  /** Since when it has been well and there was enough to do. */
  private steadySince: number;
  /** What it was given since it should be known what it takes: requests by milliseconds. */
  private given = { since: Infinity, sum: 0, at: 0 };
  /** Calls that were lost while it was away, and are to go on once it is back. */
  private readonly lost = new Set<DispatchId>();
  private lostDue = Infinity;

  constructor(
    private readonly strain: Strain,
    private readonly queue: EventQueue,
    private readonly trace: Trace,
    private readonly ledger: Ledger,
    /** Calls that have begun to run, in any process. */
    private readonly touched: Set<DispatchId>,
  ) {
    this.lastStart = this.steadySince = queue.now;
  }

  /** Runs of calls of the endpoint start. */
  started(ids: readonly DispatchId[]): void {
    this.account();
    for (const id of ids) this.start(id);
  }

  /** A request was answered, or has been given up. */
  ended(id: DispatchId, answer: RunAnswer, signal: AbortSignal): void {
    const request = this.running.get(id);
    if (request === undefined) return;
    this.account();
    this.running.delete(id);
    this.heardAt = this.queue.now;
    if (signal.aborted && !(signal.reason instanceof TimeoutError)) return;
    const { status } = answer.response;
    if (signal.aborted || isLost(status)) this.wasLost(id, request);
    else this.wasAnswered(request, status);
    if (answer.retryAfter !== undefined) {
      this.restsUntil = Math.max(this.restsUntil, this.queue.now + answer.retryAfter);
    }
  }

  /** Something has happened anywhere. */
  look(): void {
    this.account();
    const { now } = this.queue;
    if (now > this.lostDue) this.checkLost();
    if (!this.hasUntouched || this.restsUntil + SLACK > now) {
      this.lastStart = now;
      this.steadySince = now;
    }
    if (!this.isKnownToBeAway && this.running.size > 0) this.lastStart = now;
    if (now - this.lastStart > LONGEST_PAUSE) {
      this.trace.violate('an endpoint that may be back is not tried');
    }
    this.checkUse();
  }

  private start(id: DispatchId): void {
    const { now } = this.queue;
    const { trace, strain } = this;
    // What begins while the answer is being heard may not know of it.
    if (now > this.heardAt) {
      trace.check(now + 1 >= this.restsUntil, 'an endpoint is called though it asked to be left alone', id);
    }
    if (this.isKnownToBeAway && now > this.heardAt) this.checkTry(id);
    this.lastStart = now;
    this.lost.delete(id);
    this.touched.add(id);
    this.order += 1;
    this.running.set(id, { order: this.order, begunAt: now });
    const isLearned = this.complaints >= COMPLAINTS_TO_LEARN;
    const isWithin = this.running.size <= mostOf(strain);
    trace.check(!isLearned || isWithin, 'an endpoint is given more than it can take', id);
  }

  private checkTry(id: DispatchId): void {
    const { now } = this.queue;
    const { tries, trace } = this;
    const last = tries.at(-1) ?? -Infinity;
    trace.check(now - last >= SHORTEST_PAUSE, 'an endpoint that is away is tried twice at a time', id);
    tries.push(now);
    const recent = tries.filter((at) => at > now - WHILE).length;
    trace.check(recent <= MOST_TRIES, 'an endpoint that is away is tried again and again', id);
  }

  /** Whether nothing but its turn keeps some call from its first run. */
  private get hasUntouched(): boolean {
    for (const [id, { finished, progress }] of this.ledger.calls) {
      if (finished === undefined && progress.cancelBy === undefined && !this.touched.has(id)) return true;
    }
    return false;
  }

  private checkLost(): void {
    for (const id of this.lost) {
      const call = this.ledger.calls.get(id);
      const isOver = call === undefined || call.finished !== undefined;
      this.trace.check(isOver, 'a call that was lost does not go on though its endpoint is back', id);
    }
    this.lost.clear();
    this.lostDue = Infinity;
  }

  private get isKnownToBeAway(): boolean {
    return this.lostInARow >= LOST_IN_A_ROW;
  }

  private wasLost(id: DispatchId, { order }: Request): void {
    this.steadySince = this.queue.now;
    // It began before the endpoint was back.
    if (order < this.lastAnswered) return;
    this.lostInARow += 1;
    if (this.lostInARow === LOST_IN_A_ROW) this.lastStart = this.queue.now;
    if (!this.isKnownToBeAway) return;
    this.lost.add(id);
    this.lostDue = Infinity;
  }

  private wasAnswered({ order }: Request, status: Status): void {
    if (this.isKnownToBeAway) {
      const { calls, capacity, takes, retryAfter } = this.strain;
      this.complaints = 0;
      this.steadySince = this.queue.now;
      const work = (3 * calls * (takes + TRAVEL)) / capacity;
      // Where it wants to be left alone again and again, nobody can say how long the work takes.
      if (retryAfter === undefined) this.lostDue = this.queue.now + LONGEST_PAUSE + work;
    }
    this.lostInARow = 0;
    this.tries.length = 0;
    this.lastAnswered = Math.max(this.lastAnswered, order);
    if (status !== Status.THROTTLED || order <= this.complainedAt) return;
    this.complaints += 1;
    this.complainedAt = this.order;
  }

  /** What it was given until now. */
  private account(): void {
    const { now } = this.queue;
    this.given.sum += this.running.size * (now - this.given.at);
    this.given.at = now;
  }

  private checkUse(): void {
    const { now } = this.queue;
    if (this.isKnownToBeAway) this.steadySince = now;
    const { given, strain } = this;
    const roundTrip = strain.takes + TRAVEL;
    const learned = this.steadySince + ROUND_TRIPS_TO_LEARN * roundTrip;
    if (now < learned || strain.retryAfter !== undefined) {
      this.given = { since: now, sum: 0, at: now };
    } else if (now - given.since > ROUND_TRIPS_TO_JUDGE * roundTrip) {
      const use = given.sum / (now - given.since) / strain.capacity;
      this.trace.check(use >= LEAST_USE, `an endpoint is given ${Math.round(use * 100)} % of what it can take`);
      this.given = { since: now, sum: 0, at: now };
    }
  }
}

function isLost(status: Status): boolean {
  switch (status) {
    case Status.TCP_ERROR:
    case Status.HTTP_ERROR:
    case Status.TIMEOUT:
    case Status.TEMPORARY_ERROR:
      return true;
    default:
      return false;
  }
}
