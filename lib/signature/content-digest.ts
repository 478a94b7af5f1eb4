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

/** A digest that a body must have. */
export interface ExpectedDigest {
  readonly name: string;
  /** Its name in node:crypto. */
  readonly algorithm: string;
  readonly bytes: Uint8Array;
}

/** The digests of a Content-Digest that can be checked; at least one. */
export function readContentDigest(header: string): ExpectedDigest[] {
  const digests: ExpectedDigest[] = [];
  for (const [name, member] of parse(header)) {
    const algorithm = ALGORITHMS.get(name);
    if (algorithm === undefined) continue;
    const bytes: unknown = member[0];
    if (!(bytes instanceof ArrayBuffer)) throw unauthenticated(`Content-Digest: ${name} is no byte sequence`);
    digests.push({ name, algorithm, bytes: new Uint8Array(bytes) });
  }
  if (digests.length === 0) throw unauthenticated('Content-Digest has neither sha-512 nor sha-256');
  return digests;
}

/** Checks a body against each of its digests. */
export function verifyDigests(digests: readonly ExpectedDigest[], body: Uint8Array): void {
  for (const { name, algorithm, bytes } of digests) {
    const actual = digest(algorithm, body);
    if (bytes.length === actual.length && timingSafeEqual(bytes, actual)) continue;
    throw forbidden(`the body does not have the ${name} of its Content-Digest: it was changed after it was signed`);
  }
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
