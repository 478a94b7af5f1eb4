import type { Clock } from '../protocol/index.js';
import { parsePrivateKey, parsePublicKey, signRequest, verifyHead } from '../signature/index.js';
import type { RequestVerifier } from './function.endpoint.js';
import type { RequestSigner } from './http.transport.js';

interface KeySetting {
  readonly value: string;
  /** What messages call it. */
  readonly source: string;
}

/** @throws ConfigurationError when the text is no private key */
export function signerOf({ value, source }: KeySetting, clock: Pick<Clock, 'now'>): RequestSigner {
  const key = parsePrivateKey(value, source);
  return ({ method, url, headers, body }) => ({
    ...headers,
    ...signRequest({ method, url: url.href, headers, body }, key, { created: Math.floor(clock.now() / 1000) }),
  });
}

/** @throws ConfigurationError when the text is no public key */
export function verifierOf({ value, source }: KeySetting, clock: Pick<Clock, 'now'>): RequestVerifier {
  const key = parsePublicKey(value, source);
  return (head) => verifyHead(head, key, { now: clock.now() / 1000 });
}
