import { createHash, timingSafeEqual } from 'node:crypto';
import { parseDictionary, serializeDictionary } from 'structured-headers';
import { forbidden, unauthenticated } from './signature.error.js';

/** Digest algorithms of RFC 9530 that are safe against an attacker, with their names in node:crypto. */
const ALGORITHMS: ReadonlyMap<string, string> = new Map([
  ['sha-512', 'sha512'],
  ['sha-256', 'sha256'],
]);

/** The Content-Digest of a body: its SHA-512. */
export function contentDigest(body: Uint8Array): string {
  return serializeDictionary(new Map([['sha-512', [digest('sha512', body), new Map()]]]));
}

/** Checks a body against every digest of the header that can be checked; there must be one. */
export function verifyContentDigest(header: string, body: Uint8Array): void {
  let checked = 0;
  for (const [name, member] of parse(header)) {
    const algorithm = ALGORITHMS.get(name);
    if (algorithm === undefined) continue;
    const expected: unknown = member[0];
    if (!(expected instanceof ArrayBuffer)) throw unauthenticated(`Content-Digest: ${name} is no byte sequence`);
    const actual = digest(algorithm, body);
    if (expected.byteLength !== actual.length || !timingSafeEqual(new Uint8Array(expected), actual)) {
      throw forbidden(`the body does not have the ${name} of its Content-Digest: it was changed after it was signed`);
    }
    checked++;
  }
  if (checked === 0) throw unauthenticated('Content-Digest has neither sha-512 nor sha-256');
}

function parse(header: string): ReturnType<typeof parseDictionary> {
  try {
    return parseDictionary(header);
  } catch (error) {
    throw unauthenticated('Content-Digest is malformed', error);
  }
}

function digest(algorithm: string, body: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash(algorithm).update(body).digest());
}
