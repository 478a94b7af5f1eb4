import { expect, it } from '@jest/globals';
import {
  generateKeyPair,
  parsePrivateKey,
  parsePublicKey,
  signRequest,
  SignatureError,
  verifyRequest,
} from 'nestjs-dispatch/testing';

it('signs a request, and verifies it', () => {
  const keys = generateKeyPair(); // Ed25519, as PEM and as base64 of the raw bytes
  const privateKey = parsePrivateKey(keys.privateKey, 'the signing key'); // what errors call it
  const publicKey = parsePublicKey(keys.publicKeyBase64, 'the verification key');

  const request = {
    method: 'POST',
    url: 'https://app.example.com/dispatch.sdk.v1.FunctionService/Run',
    headers: { 'content-type': 'application/proto' },
    body: new Uint8Array([1, 2, 3]),
  };
  const created = 1_900_000_000; // seconds since 1970
  const headers = { ...request.headers, ...signRequest(request, privateKey, { created }) };
  expect(Object.keys(headers)).toEqual(['content-type', 'content-digest', 'signature-input', 'signature']);

  verifyRequest({ ...request, headers }, publicKey, { now: created + 60 });
  const changed = { ...request, headers, body: new Uint8Array([1, 2, 4]) };
  expect(() => verifyRequest(changed, publicKey, { now: created + 60 })).toThrow(SignatureError);
  expect(() => verifyRequest({ ...request, headers }, publicKey, { now: created + 301 })).toThrow(SignatureError);
});
