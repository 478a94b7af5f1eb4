import { createHash } from 'node:crypto';
import { hashes, sign } from '@noble/ed25519';
import { type BareItem, type InnerList, type Item, serializeDictionary } from 'structured-headers';
import { ConfigurationError } from '../errors/index.js';
import { contentDigest } from './content-digest.js';
import { fieldsOf, type HttpRequest, targetOf } from './http-request.js';
import type { PrivateKey } from './keys.js';
import { componentsOf, signatureBase } from './signature-base.js';

export interface SignOptions {
  /** When the signature is made, in seconds since 1970. The machine's clock by default. */
  readonly created?: number;
}

/** Headers to send with a signed request, beside its own. */
export interface SignatureHeaders {
  readonly 'content-digest': string;
  readonly 'signature-input': string;
  readonly signature: string;
}

const LABEL = 'dispatch';
export const KEY_ID = 'default';
export const ALGORITHM = 'ed25519';

/**
 * Signs a request (RFC 9421) with its method, path, authority, content type and content digest (RFC 9530), and the attempt
 * where it has one.
 *
 * @throws ConfigurationError when the request has no Content-Type
 */
export function signRequest(request: HttpRequest, key: PrivateKey, options: SignOptions = {}): SignatureHeaders {
  const fields = new Map(fieldsOf(request.headers));
  if (!fields.has('content-type')) {
    throw new ConfigurationError(
      'signRequest: the request has no content-type header, and the signature must cover it',
    );
  }
  const digest = contentDigest(request.body);
  fields.set('content-digest', [digest]);
  const input: InnerList = [
    componentsOf(fields).map((name): Item => [name, new Map<string, BareItem>()]),
    new Map<string, BareItem>([
      ['created', options.created ?? Math.floor(Date.now() / 1000)],
      ['keyid', KEY_ID],
      ['alg', ALGORITHM],
    ]),
  ];
  const base = signatureBase({ method: request.method, target: targetOf(request, fields), fields }, input);
  // noble brings no hash of its own.
  hashes.sha512 ??= (message) => new Uint8Array(createHash('sha512').update(message).digest());
  return {
    'content-digest': digest,
    'signature-input': serializeDictionary(new Map([[LABEL, input]])),
    signature: serializeDictionary(new Map([[LABEL, [sign(base, key.bytes), new Map()]]])),
  };
}
