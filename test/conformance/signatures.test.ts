import { describe, expect, test } from '@jest/globals';
import {
  parsePrivateKey,
  parsePublicKey,
  SignatureError,
  signRequest,
  verifyRequest,
} from '../../lib/signature/index.js';
import { fromBase64, vectors } from './vectors.js';

interface Keys {
  private_base64: string;
  public_base64: string;
  private_pem: string;
  public_pem: string;
}

interface Vector {
  name: string;
  method: string;
  url: string;
  headers: Record<string, string>;
  body_base64: string;
  now: number;
  valid: boolean | null;
  http_status: number | null;
  note: string;
}

const { key, other_key, vectors: all } = vectors<{ key: Keys; other_key: Keys; vectors: Vector[] }>('signatures.json');

/** 200, or the status that the refusal answers. */
function answer(vector: Vector, publicKey: string): number {
  const request = { ...vector, body: fromBase64(vector.body_base64) };
  try {
    verifyRequest(request, parsePublicKey(publicKey, 'DISPATCH_VERIFICATION_KEY'), { now: vector.now });
    return 200;
  } catch (error) {
    if (error instanceof SignatureError) return error.httpStatus;
    throw error;
  }
}

describe('requests that the Python SDK signed', () => {
  for (const vector of all) {
    const url = new URL(vector.url);
    if (vector.valid === null) {
      // RFC 9421, section 2.2.3: @authority is in lower case and without the default port. What was signed without that
      // does not hold.
      test(`${vector.name}: refused, because the signer did not normalise`, () => {
        expect(answer(vector, key.public_base64)).toBe(403);
      });
      continue;
    }
    const expected = vector.http_status === null ? [401, 403] : [vector.http_status];
    test(`${vector.name}: ${expected.join(' or ')}`, () => {
      expect(expected).toContain(answer(vector, key.public_pem));
      expect(expected).toContain(answer(vector, key.public_base64));
    });

    test(`${vector.name}: the same for what a server sees of the request`, () => {
      const { method, headers, now } = vector;
      const request = { method, headers, path: url.pathname, body: fromBase64(vector.body_base64) };
      const verify = () => verifyRequest(request, parsePublicKey(key.public_base64, 'key'), { now });
      if (vector.valid) verify();
      else expect(verify).toThrow(SignatureError);
    });
  }

  test('with another key none of them holds but the one that it made', () => {
    const holding = all.filter((vector) => answer(vector, other_key.public_base64) === 200);
    expect(holding.map(({ name }) => name)).toEqual(['signed with another key']);
  });

  test('our own signatures of the same requests hold as well', () => {
    const privateKey = parsePrivateKey(key.private_pem, 'key');
    for (const { url, method, body_base64, now } of all) {
      const request = { url, method, headers: { 'content-type': 'application/proto' }, body: fromBase64(body_base64) };
      const signed = signRequest(request, privateKey, { created: now });
      verifyRequest({ ...request, headers: { ...request.headers, ...signed } }, parsePublicKey(key.public_pem, 'key'), {
        now,
      });
    }
  });
});
