import { hash } from 'node:crypto';
import type { Any } from '@bufbuild/protobuf/wkt';
import { typeNameOf } from './type-url.js';

const HASH_BYTES = 16;
const EMPTY = 'google.protobuf.Empty';
const NO_BYTES = new Uint8Array(0);

/** A type's place in this list is in journals: append only. */
const SHORT_TYPES: ReadonlyMap<string, number> = new Map(
  ['Empty', 'BoolValue', 'Int64Value', 'DoubleValue', 'StringValue', 'BytesValue', 'Timestamp', 'Value'].map(
    (name, code) => [`google.protobuf.${name}`, code] as const,
  ),
);

/**
 * What stands for a call's input where two are compared: of a few bytes the input itself, behind a byte for its type, which
 * takes a tenth of the time; else its hash, which is longer. No input counts as `google.protobuf.Empty`. Where the type URL
 * came from does not matter.
 */
export function inputKey(input: Any | undefined): Uint8Array {
  const value = input?.value ?? NO_BYTES;
  if (value.length >= HASH_BYTES - 1) return inputHash(input);
  const code = SHORT_TYPES.get(input === undefined ? EMPTY : typeNameOf(input));
  if (code === undefined) return inputHash(input);
  const key = new Uint8Array(1 + value.length);
  key[0] = code;
  key.set(value, 1);
  return key;
}

/** Whether a key is the hash of its input, rather than the input itself. */
export const isInputHash = (key: Uint8Array): boolean => key.length === HASH_BYTES;

/** The beginning of the SHA-256 of an input's type and bytes. */
export function inputHash(input: Any | undefined): Uint8Array {
  const name = input === undefined ? EMPTY : typeNameOf(input);
  const value = input?.value ?? NO_BYTES;
  const length = Buffer.byteLength(name);
  const bytes = Buffer.allocUnsafe(length + value.length);
  bytes.write(name);
  bytes.set(value, length);
  return new Uint8Array(hash('sha256', bytes, 'buffer').subarray(0, HASH_BYTES));
}
