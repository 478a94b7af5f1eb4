import type { Random } from './random.js';

/** Changes bytes so that what reads them has something to stumble over. Never in place. */
export type Mutation = (bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array;

const concat = (...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array =>
  new Uint8Array(Buffer.concat(parts.map((part) => (part instanceof Uint8Array ? part : Uint8Array.from(part)))));

const insert = (bytes: Uint8Array, at: number, part: Uint8Array | readonly number[], replaced = 0): Uint8Array =>
  concat(bytes.subarray(0, at), part, bytes.subarray(at + replaced));

/** Lengths and numbers that overflow, or reach beyond the end. */
const NUMBERS: readonly [readonly number[], ...(readonly number[])[]] = [
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0x07],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [0x80, 0x80, 0x80, 0x00],
  [0x80, 0xa0, 0xd2, 0x07],
];

/** What is no UTF-8: stray and missing continuations, overlong forms, surrogates, beyond U+10FFFF. */
const NO_TEXT: readonly [readonly number[], ...(readonly number[])[]] = [
  [0xff],
  [0x80],
  [0xc0, 0x80],
  [0xe2, 0x82],
  [0xed, 0xa0, 0x80],
  [0xf5, 0x80, 0x80, 0x80],
  [0x00],
];

const MUTATIONS = {
  truncated: (bytes, random) => bytes.subarray(0, random.below(bytes.length)),
  'bits flipped': (bytes, random) => {
    const copy = bytes.slice();
    for (let count = 1 + random.below(8); count > 0; count--) {
      const at = random.below(copy.length);
      copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
    }
    return copy;
  },
  'other wire types': (bytes, random) => {
    const copy = bytes.slice();
    const at = random.below(copy.length);
    copy[at] = ((copy[at] ?? 0) & 0xf8) | random.below(8);
    return copy;
  },
  'huge numbers': (bytes, random) => insert(bytes, random.below(bytes.length), random.pick(NUMBERS), random.below(3)),
  'bad UTF-8': (bytes, random) => insert(bytes, random.below(bytes.length), random.pick(NO_TEXT), random.below(3)),
  'random bytes': (bytes, random) => insert(bytes, random.below(bytes.length), random.bytes(1 + random.below(24))),
  'a part missing': (bytes, random) => insert(bytes, random.below(bytes.length), [], 1 + random.below(16)),
  'a part twice': (bytes, random) => {
    const at = random.below(bytes.length);
    return insert(bytes, at, bytes.subarray(at, at + 1 + random.below(32)));
  },
  spliced: (bytes, random, other) =>
    concat(bytes.subarray(0, random.below(bytes.length)), other.subarray(random.below(other.length))),
  'two messages': (bytes, _random, other) => concat(bytes, other),
  untouched: (bytes) => bytes,
} satisfies Record<string, Mutation>;

type MutationName = keyof typeof MUTATIONS;
const NAMES = Object.keys(MUTATIONS) as [MutationName, ...MutationName[]];

export interface Mutated {
  readonly name: MutationName;
  readonly bytes: Uint8Array;
}

/** One mutation of those that there are. */
export function mutate(bytes: Uint8Array, other: Uint8Array, random: Random): Mutated {
  const name = random.pick(NAMES);
  const mutation: Mutation = MUTATIONS[name];
  return { name, bytes: mutation(bytes, random, other) };
}

export function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 0x80);
  }
}

/** A Value of lists in lists. */
export function nestedValue(depth: number): Uint8Array {
  // Value { list_value: 6 }, ListValue { values: 1 }; built from the inside, as every length counts what is in it.
  const parts: number[][] = [];
  let size = 0;
  for (let level = 0; level < depth; level++) {
    const list = [0x0a, ...varint(size)];
    const value = [0x32, ...varint(size + list.length)];
    parts.push(list, value);
    size += list.length + value.length;
  }
  return Uint8Array.from(parts.reverse().flat());
}

/** Groups in groups, in a field that nobody knows. */
export function nestedGroups(depth: number): Uint8Array {
  const start = varint(99 * 8 + 3);
  const end = varint(99 * 8 + 4);
  return Uint8Array.from(
    [...Array.from({ length: depth }, () => start), ...Array.from({ length: depth }, () => end)].flat(),
  );
}
