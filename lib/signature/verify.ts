import { verify } from 'node:crypto';
import { type Dictionary, type InnerList, isInnerList, type Item, parseDictionary } from 'structured-headers';
import { readContentDigest, verifyDigests } from './content-digest.js';
import { fieldsOf, type Fields, fieldValue, type HttpRequest, type HttpRequestHead, targetOf } from './http-request.js';
import type { PublicKey } from './keys.js';
import { ALGORITHM, KEY_ID } from './sign.js';
import { componentsOf, type Message, signatureBase } from './signature-base.js';
import { forbidden, unauthenticated } from './signature.error.js';

export interface VerifyOptions {
  /** The time, in seconds since 1970. The machine's clock by default. */
  readonly now?: number;
  /** How old a signature may be, in seconds. 300 by default. */
  readonly maxAge?: number;
  /** How far in the future a signature may have been made, in seconds: clocks differ. 5 by default. */
  readonly maxFuture?: number;
  /**
   * The authority (or URL) that the request must have been signed for. By default the request's own; behind a proxy
   * that rewrites Host, the one that the outside knows.
   */
  readonly authority?: string;
}

/** A signature that the key id says is ours to check. */
interface Signature {
  readonly label: string;
  readonly input: InnerList;
  readonly bytes: Uint8Array;
}

/** More signatures of the same key are no honest request. */
const MAX_SIGNATURES = 8;

/** Checks that a request's body is the one that was signed; throws a SignatureError with HTTP status 403. */
export type BodyVerifier = (body: Uint8Array) => void;

/**
 * Verifies a request's signatures (RFC 9421). There must be one with key id `default`, under any label, that covers
 * method, path, authority, content type and content digest, and the attempt where there is one (more is fine), and is recent; every signature of that key id
 * must hold; and the body must have the digest that was signed. Signatures of other key ids are not looked at.
 *
 * @param keys the key, or several while one replaces another: each signature must hold with one of them
 * @throws SignatureError, with the HTTP status to answer
 */
export function verifyRequest(
  request: HttpRequest,
  keys: PublicKey | readonly PublicKey[],
  options: VerifyOptions = {},
): void {
  verifyHead(request, keys, options)(request.body);
}

/**
 * The same for a request whose body is not there yet: signatures are of the body's digest, which is a header. So nothing
 * has to be read for one that has no right to be here.
 *
 * @returns what the body, once it has come, must be checked with
 * @throws SignatureError for all that is wrong with the signatures and their headers
 */
export function verifyHead(
  head: HttpRequestHead,
  keys: PublicKey | readonly PublicKey[],
  options: VerifyOptions = {},
): BodyVerifier {
  const fields = fieldsOf(head.headers);
  const signatures = readSignatures(fields);
  const complete = signatures.filter(({ input }) => missingComponents(input, fields).length === 0);
  const [first] = signatures;
  if (complete.length === 0 && first !== undefined) {
    throw unauthenticated(`the signature does not cover ${missingComponents(first.input, fields).join(', ')}`);
  }
  const target = targetOf(head, fields, options.authority);
  for (const signature of signatures) {
    verifySignature({ method: head.method, target, fields }, signature, [keys].flat(), options);
  }
  const digests = readContentDigest(fieldValue(fields, 'content-digest') ?? '');
  return (body) => verifyDigests(digests, body);
}

function verifySignature(
  message: Message,
  signature: Signature,
  keys: readonly PublicKey[],
  options: VerifyOptions,
): void {
  const base = signatureBase(message, signature.input);
  checkTime(signature, options);
  if (!keys.some(({ keyObject }) => verify(null, base, keyObject, signature.bytes))) {
    throw forbidden(
      `the signature '${signature.label}' does not hold: it was made with another key, or the request was changed on its way`,
    );
  }
}

function checkTime({ label, input }: Signature, options: VerifyOptions): void {
  const { now = Math.floor(Date.now() / 1000), maxAge = 300, maxFuture = 5 } = options;
  const created = seconds(input, 'created');
  const expires = seconds(input, 'expires');
  if (created === undefined) throw unauthenticated(`the signature '${label}' does not say when it was created`);
  if (now - created > maxAge)
    throw forbidden(`the signature '${label}' is ${now - created} s old, more than ${maxAge} s`);
  if (created - now > maxFuture) {
    throw forbidden(
      `the signature '${label}' was created ${created - now} s in the future: check the clocks of both sides`,
    );
  }
  if (expires !== undefined && expires <= now) throw forbidden(`the signature '${label}' has expired`);
}

function seconds(input: InnerList, name: string): number | undefined {
  const value: unknown = input[1].get(name);
  if (value === undefined || (typeof value === 'number' && Number.isInteger(value))) return value;
  throw unauthenticated(`'${name}' of the signature is no integer`);
}

/** The signatures that can be checked; at least one. */
function readSignatures(fields: Fields): Signature[] {
  const inputs = parse(fields, 'signature-input');
  const values = parse(fields, 'signature');
  const signatures: Signature[] = [];
  for (const [label, input] of inputs) {
    if (!isInnerList(input)) throw unauthenticated(`Signature-Input: '${label}' is no list of components`);
    if (input[1].get('keyid') !== KEY_ID) continue;
    if (input[1].has('alg') && input[1].get('alg') !== ALGORITHM) {
      throw unauthenticated(`the signature '${label}' has another algorithm than ${ALGORITHM}`);
    }
    signatures.push({ label, input, bytes: bytesOf(label, values.get(label)) });
  }
  if (signatures.length === 0) throw unauthenticated(`there is no signature with keyid="${KEY_ID}"`);
  if (signatures.length > MAX_SIGNATURES) throw unauthenticated(`there are more than ${MAX_SIGNATURES} signatures`);
  return signatures;
}

function bytesOf(label: string, member: Item | InnerList | undefined): Uint8Array {
  const value: unknown = member?.[0];
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw unauthenticated(`Signature: '${label}' is missing or no byte sequence`);
}

function parse(fields: Fields, name: string): Dictionary {
  const value = fieldValue(fields, name);
  if (value === undefined) throw unauthenticated(`the request is not signed: it has no ${name} header`);
  try {
    return parseDictionary(value);
  } catch (error) {
    throw unauthenticated(`the ${name} header is malformed`, error);
  }
}

function missingComponents(input: InnerList, fields: Fields): string[] {
  const covered = new Set<unknown>(
    input[0].filter(([, parameters]) => parameters.size === 0).map(([name]): unknown => name),
  );
  return componentsOf(fields).filter((name) => !covered.has(name));
}
