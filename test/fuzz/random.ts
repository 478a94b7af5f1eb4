import { seeded } from '../support/seeded.js';

/** Numbers from a seed, the same on every machine. */
export class Random {
  private readonly next: () => number;

  constructor(seed: number) {
    this.next = seeded(seed);
  }

  /** 0 ≤ x < 2³² */
  uint32(): number {
    return this.next() * 2 ** 32;
  }

  /** 0 ≤ x < end */
  below(end: number): number {
    return this.uint32() % Math.max(1, end);
  }

  chance(probability: number): boolean {
    return this.uint32() < probability * 2 ** 32;
  }

  pick<T>(from: readonly [T, ...T[]]): T {
    return from[this.below(from.length)] ?? from[0];
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}
