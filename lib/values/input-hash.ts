import { createHash } from 'node:crypto';
import type { Any } from '@bufbuild/protobuf/wkt';
import { typeNameOf } from './type-url.js';

const LENGTH = 16;

/**
 * 16 bytes that stand for a call's input: the beginning of the SHA-256 of its type's name and its bytes. No input counts
 * as `google.protobuf.Empty`. Where the type URL came from does not matter.
 */
export function inputHash(input: Any | undefined): Uint8Array {
  const hash = createHash('sha256').update(input === undefined ? 'google.protobuf.Empty' : typeNameOf(input));
  if (input !== undefined) hash.update(input.value);
  return new Uint8Array(hash.digest().subarray(0, LENGTH));
}
