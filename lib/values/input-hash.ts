import { hash } from 'node:crypto';
import type { Any } from '@bufbuild/protobuf/wkt';
import { typeNameOf } from './type-url.js';

const LENGTH = 16;
const NO_BYTES = new Uint8Array(0);

/**
 * 16 bytes that stand for a call's input: the beginning of the SHA-256 of its type's name and its bytes. No input counts
 * as `google.protobuf.Empty`. Where the type URL came from does not matter.
 */
export function inputHash(input: Any | undefined): Uint8Array {
  const name = input === undefined ? 'google.protobuf.Empty' : typeNameOf(input);
  const value = input?.value ?? NO_BYTES;
  const length = Buffer.byteLength(name);
  const bytes = Buffer.allocUnsafe(length + value.length);
  bytes.write(name);
  bytes.set(value, length);
  return new Uint8Array(hash('sha256', bytes, 'buffer').subarray(0, LENGTH));
}
