import type { Chance } from './chance.js';

/**
 * What goes wrong, and how often. Each seed has some kinds of faults and others not: where everything goes wrong at once,
 * nothing gets far enough to go wrong in an interesting way.
 */
export interface Faults {
  /** Until when, in simulated milliseconds; then the world is at peace. */
  readonly until: number;
  /** Probabilities. */
  readonly commitFails: number;
  readonly readFails: number;
  readonly markFails: number;
  readonly slowStore: number;
  readonly requestLost: number;
  readonly answerLost: number;
  readonly requestTwice: number;
  readonly late: number;
  readonly slowAnswer: number;
  /** The effects at which the process is killed, counted from its start. */
  readonly crashes: readonly number[];
  /** How often each of these happens at random times. */
  readonly stops: number;
  readonly remoteCrashes: number;
  readonly jumps: number;
  readonly fullDisks: number;
  readonly deploys: number;
}

/** Where it is watched how calls are paced, that must follow from what the endpoint answers. */
export function gentle(faults: Faults): Faults {
  return {
    ...faults,
    commitFails: 0,
    readFails: 0,
    slowStore: 0,
    markFails: 0,
    requestLost: 0,
    answerLost: 0,
    requestTwice: 0,
    late: 0,
    crashes: faults.crashes.slice(0, 1),
    jumps: 0,
    fullDisks: 0,
  };
}

export function faultsOf(chance: Chance): Faults {
  const maybe = (most: number): number => (chance.happens(0.4) ? chance.between(0, most) : 0);
  const some = (most: number): number => (chance.happens(0.4) ? chance.whole(1, most) : 0);
  return {
    until: chance.between(5_000, 60_000),
    commitFails: maybe(0.15),
    readFails: maybe(0.1),
    markFails: maybe(0.05),
    slowStore: maybe(0.3),
    requestLost: maybe(0.2),
    answerLost: maybe(0.2),
    requestTwice: maybe(0.3),
    late: maybe(0.1),
    slowAnswer: maybe(0.3),
    crashes: Array.from({ length: some(3) }, () => Math.ceil(chance.between(1, 20) ** 2)),
    stops: some(2),
    remoteCrashes: some(3),
    jumps: some(3),
    fullDisks: some(2),
    deploys: some(3),
  };
}
