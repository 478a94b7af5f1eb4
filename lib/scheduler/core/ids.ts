import { hash } from 'node:crypto';
import type { DispatchId, Timestamp } from '../store.js';
import type { Random } from './random.js';

/** Hex digits of an id that hold the time at which its root was dispatched. */
const TIME_DIGITS = 12;
/** Where the digits of a UUID are that tell its version and its variant, and where those of the namespace end. */
const VERSION_AT = 12;
const VARIANT_AT = 16;
const TAG_END = 23;

/** Whose calls: the tag of a name, or `''` for the calls of nobody in particular. */
export type Namespace = string;

/** A root's id: a UUIDv7 (RFC 9562, section 5.7) as 32 hex digits; a UUIDv8 (section 5.8) that tells the namespace it is of. */
export function rootId(now: Timestamp, random: Random, namespace: Namespace = ''): DispatchId {
  const time = digits(now, TIME_DIGITS);
  const version = '7' + digits(bits(random, 12), 3);
  const variant = digits(0x8000 + bits(random, 14), 4);
  return inNamespace(time + version + variant + digits(bits(random, 24), 6) + digits(bits(random, 24), 6), namespace);
}

/** A root's id that derives from a key: the same for the same key of the same namespace. */
export function keyedId(key: string, namespace: Namespace): DispatchId {
  return inNamespace(hash('sha256', `${namespace}:${key}`, 'hex').slice(0, 32), namespace);
}

/**
 * A child's id. It derives from what names the child for good, so that a call which is made again is the same call: the
 * parent, its incarnation and the number the parent gave. The time of the root stays in front, which keeps trees together.
 */
export function childId(root: DispatchId, parent: DispatchId, incarnation: number, correlationId: bigint): DispatchId {
  const derived = hash('sha256', `${parent}:${incarnation}:${correlationId}`, 'hex');
  return root.slice(0, TIME_DIGITS) + derived.slice(0, 32 - TIME_DIGITS);
}

/**
 * The six hex digits that stand for a namespace in ids. Names are few and chosen by an operator; who takes several makes
 * sure that their tags differ.
 */
export function namespaceTag(name: string): Namespace {
  return hash('sha256', `namespace:${name}`, 'hex').slice(0, 6);
}

/** The namespace of a tree, by the id of its root: children have their root's. */
export function namespaceOf(root: DispatchId): Namespace {
  return root[VERSION_AT] === '8' ? root.slice(VERSION_AT + 1, VARIANT_AT) + root.slice(VARIANT_AT + 4, TAG_END) : '';
}

function inNamespace(id: string, namespace: Namespace): DispatchId {
  const version = namespace === '' ? `7${id.slice(VERSION_AT + 1, VARIANT_AT)}` : `8${namespace.slice(0, 3)}`;
  const tag = namespace === '' ? id.slice(VARIANT_AT + 4, TAG_END) : namespace.slice(3);
  return id.slice(0, VERSION_AT) + version + id.slice(VARIANT_AT, VARIANT_AT + 4) + tag + id.slice(TAG_END);
}

const ID = /^[0-9a-f]{32}$/;

export function isDispatchId(id: string): boolean {
  return ID.test(id);
}

function bits(random: Random, count: number): number {
  return Math.floor(random() * 2 ** count);
}

function digits(value: number, length: number): string {
  return value.toString(16).padStart(length, '0');
}
