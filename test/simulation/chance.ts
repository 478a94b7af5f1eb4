import { seeded } from '../support/seeded.js';

/** Decisions that a seed makes. Each part of a simulation has its own, so that what one asks does not move another. */
export class Chance {
  readonly random: () => number;

  constructor(seed: number, part: number) {
    this.random = seeded(Math.imul(seed, 0x9e3779b1) ^ Math.imul(part, 0x85ebca6b));
  }

  happens(probability: number): boolean {
    return probability > 0 && this.random() < probability;
  }

  /** A whole number, both ends included. */
  whole(from: number, to: number): number {
    return from + Math.floor(this.random() * (to - from + 1));
  }

  between(from: number, to: number): number {
    return from + this.random() * (to - from);
  }

  pick<T>(choices: readonly [T, ...T[]]): T {
    return choices[Math.floor(this.random() * choices.length)] ?? choices[0];
  }
}
