import type { Milliseconds } from './options.js';
import type { Random } from './random.js';
import type { Timestamp } from '../store.js';

/** What an answer says about the endpoint that gave it, or did not. */
export type Signal =
  | 'fine' // it runs what it is given
  | 'throttled' // it does not want so much at a time
  | 'late' // it did not answer in time
  | 'unreached'; // there was no connection, or something before it refused the request

/** Runs at a time that an endpoint begins with. */
const FIRST_LIMIT = 10;
/** What is left of the limit after an answer that says it is too much, and after one that did not come. */
const THROTTLED_FACTOR = 0.8;
const LOST_FACTOR = 0.5;
/** As many lost answers in a row, with no other in between, mean that the endpoint is down. */
const DOWN_AFTER = 5;
/** Pauses between tries of an endpoint that is down: from the first to the second, doubling. */
const FIRST_PAUSE: Milliseconds = 500;
const LONGEST_PAUSE: Milliseconds = 5_000;
/** A try that has not answered after so long keeps the next one waiting no more. */
const PATIENCE: Milliseconds = 10_000;
/** The longest time that an endpoint is left alone because it asked for that. */
const LONGEST_REST: Milliseconds = 3_600_000;
/**
 * An endpoint that asks for a rest is not given as much again for so many times that rest, but not longer than that:
 * finding out whether it can take more by now costs all of its calls such a rest.
 */
const CONTENT_FACTOR = 20;
const LONGEST_CONTENT: Milliseconds = 600_000;

/**
 * How many runs an endpoint is given at a time: additive increase, multiplicative decrease, as TCP does it (Chiu and
 * Jain, 1989; RFC 5681). The limit doubles with each round trip until the endpoint first complains; then it grows by one
 * for each round trip without a complaint. All complaints of one round trip count once.
 *
 * An endpoint that is down is given one run at a time, with pauses in between, until it answers.
 */
export class Pace {
  private limit: number;
  /** The limit doubles with each round trip. */
  private doubles = true;
  /** Runs with a fence up to this one began before the limit was last cut. */
  private cutAt = 0;
  private lostInARow = 0;
  private tries = 0;
  /** The run that tries whether the endpoint is up again. */
  private trial = 0;
  private down = false;
  /** It was up when it answered this run: older ones that are lost say nothing any more. */
  private upAt = 0;
  /** The pause before the next try, or the patience with the one that is under way. */
  private pausesUntil: Timestamp = -Infinity;
  /** Until when it asked to be left alone, whatever else is known of it. */
  private askedUntil: Timestamp = -Infinity;
  /** The limit before it was last cut. */
  private tooMuch = Infinity;
  /** The limit stays below what was too much until then. */
  private contentUntil: Timestamp = -Infinity;

  /** @param ceiling the limit grows no further */
  constructor(
    private readonly ceiling: number,
    private readonly random: Random,
  ) {
    this.limit = Math.min(FIRST_LIMIT, ceiling);
  }

  get isDown(): boolean {
    return this.down;
  }

  /** It is to be left alone until then. */
  restEnd(now: Timestamp): Timestamp | undefined {
    const end = Math.max(this.pausesUntil, this.askedUntil);
    return end > now ? end : undefined;
  }

  /** Whether it may be given another run beside those in flight. */
  admits(running: number, now: Timestamp): boolean {
    if (this.restEnd(now) !== undefined || running >= this.ceiling) return false;
    return this.down || running < Math.floor(this.limit);
  }

  /** A run was begun. */
  began(fence: number, now: Timestamp): void {
    if (!this.down) return;
    this.trial = fence;
    this.pausesUntil = now + PATIENCE;
  }

  /** A run is over. Where it was given up here, what the endpoint would have answered is not known. */
  ended(fence: number, now: Timestamp): void {
    if (this.trial === fence) this.rest(now);
  }

  /**
   * A run was answered, or not.
   * @param lastFence the fence of the run that was begun last
   * @param running runs in flight, this one included
   */
  heard(signal: Signal, fence: number, lastFence: number, running: number, now: Timestamp): void {
    switch (signal) {
      case 'fine':
        this.answered(fence, running);
        if (fence > this.cutAt && running * 2 > this.limit) this.grow(now);
        return;
      case 'throttled':
        this.answered(fence, running);
        this.cut(THROTTLED_FACTOR, fence, lastFence);
        return;
      case 'late':
      case 'unreached':
        if (fence <= this.upAt) return;
        this.lost(fence, now);
        this.cut(LOST_FACTOR, fence, lastFence);
        return;
    }
  }

  /** It asked to be left alone for that long. */
  restFor(duration: Milliseconds, now: Timestamp): void {
    const end = now + Math.min(duration, LONGEST_REST);
    this.askedUntil = Math.max(this.askedUntil, end);
    this.contentUntil = Math.max(this.contentUntil, end + Math.min(duration * CONTENT_FACTOR, LONGEST_CONTENT));
  }

  private answered(fence: number, running: number): void {
    this.lostInARow = 0;
    if (!this.down) return;
    this.down = false;
    this.upAt = fence;
    this.cutAt = fence - 1;
    this.trial = 0;
    this.tries = 0;
    this.pausesUntil = -Infinity;
    this.doubles = true;
    // What it could take while it was going down says nothing of what it can take now.
    this.tooMuch = Infinity;
    this.contentUntil = -Infinity;
    // Tries that still hang must not keep others from running.
    this.limit = Math.min(this.ceiling, running);
  }

  private lost(fence: number, now: Timestamp): void {
    this.lostInARow += 1;
    if (this.down) {
      if (this.trial === fence) this.rest(now);
    } else if (this.lostInARow >= DOWN_AFTER) {
      this.down = true;
      this.rest(now);
    }
  }

  /** With jitter, so that the processes that share an endpoint do not come back to it together. */
  private rest(now: Timestamp): void {
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.tries);
    this.tries += 1;
    this.trial = 0;
    this.pausesUntil = now + Math.round(pause * (0.5 + this.random() / 2));
  }

  private grow(now: Timestamp): void {
    const most = now < this.contentUntil ? Math.min(this.ceiling, Math.max(1, this.tooMuch - 1)) : this.ceiling;
    // What it has is not taken from it without a complaint.
    this.limit = Math.max(this.limit, Math.min(most, this.limit + (this.doubles ? 1 : 1 / this.limit)));
  }

  private cut(factor: number, fence: number, lastFence: number): void {
    if (fence <= this.cutAt) return;
    this.cutAt = lastFence;
    this.doubles = false;
    this.tooMuch = Math.floor(this.limit);
    this.limit = Math.max(1, this.limit * factor);
  }
}
