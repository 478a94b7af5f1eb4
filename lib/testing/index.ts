/**
 * What tests of an application's endpoint need: keys, and requests that are signed as a scheduler signs them.
 *
 * ```ts
 * const keys = generateKeyPair();
 * const key = parsePrivateKey(keys.privateKey, 'the test key');
 * const headers = signRequest({ method: 'POST', url, headers: { 'content-type': 'application/proto' }, body }, key, { created });
 * ```
 */
export {
  generateKeyPair,
  parsePrivateKey,
  parsePublicKey,
  signRequest,
  SignatureError,
  verifyRequest,
} from '../signature/index.js';
export type { PrivateKey, PublicKey } from '../signature/index.js';
