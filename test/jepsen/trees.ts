import { seeded } from '../support/seeded.js';

/** A call and those that it makes, as the input of its function. A seed decides all of it. */
export interface Tree {
  /** `12/0/3`: the fourth child of the first child of root 12. */
  readonly path: string;
  readonly kind: 'sum' | 'leaf' | 'failsFirst' | 'failsAlways';
  /** What it adds to the total. */
  readonly value: number;
  /** How long the function works or, between the rounds of a sum, sleeps: milliseconds. */
  readonly pause: number;
  /** Its calls, round by round: those of one are made at the same time. */
  readonly rounds: readonly (readonly Tree[])[];
}

type Random = () => number;

const DEEPEST = 3;

/** The root with this number. The same seed and number give the same tree, in every process. */
export function treeOf(seed: number, root: number): Tree {
  return sumOf(seeded(seed * 65_537 + root), String(root), 1);
}

/** The total that its function has to return. */
export function totalOf({ kind, value, rounds }: Tree): number {
  if (kind === 'failsAlways') return 0;
  return rounds.flat().reduce((total, child) => total + totalOf(child), value);
}

/** How many calls it is. */
export function sizeOf({ rounds }: Tree): number {
  return rounds.flat().reduce((size, child) => size + sizeOf(child), 1);
}

function sumOf(random: Random, path: string, depth: number): Tree {
  let children = 0;
  const rounds = Array.from({ length: between(random, 1, 3) }, () =>
    Array.from({ length: between(random, 1, 4) }, () => childOf(random, `${path}/${children++}`, depth + 1)),
  );
  return { path, kind: 'sum', value: between(random, 1, 1_000), pause: between(random, 0, 200), rounds };
}

function childOf(random: Random, path: string, depth: number): Tree {
  if (depth < DEEPEST && random() < 0.35) return sumOf(random, path, depth);
  const chance = random();
  const kind = chance < 0.85 ? 'leaf' : chance < 0.95 ? 'failsFirst' : 'failsAlways';
  return { path, kind, value: between(random, 1, 1_000), pause: between(random, 0, 30), rounds: [] };
}

const between = (random: Random, least: number, most: number): number =>
  least + Math.floor(random() * (most - least + 1));
