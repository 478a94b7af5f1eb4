import { hash } from 'node:crypto';
import type { DispatchId, Timestamp } from '../store.js';
import type { Random } from './random.js';

/** Hex digits of an id that hold the time at which its root was dispatched. */
const TIME_DIGITS = 12;

/** A root's id: a UUIDv7 (RFC 9562, section 5.7) as 32 hex digits. */
export function rootId(now: Timestamp, random: Random): DispatchId {
  const time = digits(now, TIME_DIGITS);
  const version = '7' + digits(bits(random, 12), 3);
  const variant = digits(0x8000 + bits(random, 14), 4);
  return time + version + variant + digits(bits(random, 24), 6) + digits(bits(random, 24), 6);
}

/**
 * A child's id. It derives from what names the child for good, so that a call which is made again is the same call: the
 * parent, its incarnation and the number the parent gave. The time of the root stays in front, which keeps trees together.
 */
export function childId(root: DispatchId, parent: DispatchId, incarnation: number, correlationId: bigint): DispatchId {
  const derived = hash('sha256', `${parent}:${incarnation}:${correlationId}`, 'hex');
  return root.slice(0, TIME_DIGITS) + derived.slice(0, 32 - TIME_DIGITS);
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
