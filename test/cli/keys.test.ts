import { createHash } from 'node:crypto';
import { expect, it } from '@jest/globals';
import { parsePrivateKey, parsePublicKey, signRequest, verifyRequest } from '../../lib/signature/index.js';
import { ApiKeys } from '../../lib/standalone/api.keys.js';
import { command, commandJson } from '../support/command-line.js';

it('keys generate makes a pair that belongs together, and an API key with its hash', async () => {
  const made = await commandJson<Record<'signingKey' | 'verificationKey' | 'apiKey' | 'apiKeyHash', string>>(
    'keys',
    'generate',
  );
  const request = {
    method: 'POST',
    url: 'http://localhost/',
    headers: { 'content-type': 'a/b' },
    body: new Uint8Array(),
  };
  const signature = signRequest(request, parsePrivateKey(made.signingKey, 'the key'));
  const signed = { ...request, headers: { ...request.headers, ...signature } };
  expect(() => verifyRequest(signed, parsePublicKey(made.verificationKey, 'the key'))).not.toThrow();
  expect(made.apiKeyHash).toBe(`sha256:${createHash('sha256').update(made.apiKey).digest('hex')}`);
  expect(new ApiKeys([made.apiKeyHash]).authenticate(`Bearer ${made.apiKey}`)).toBeDefined();
});

it('keys generate says which is for whom', async () => {
  const { code, out } = await command('keys', 'generate');
  expect(code).toBe(0);
  for (const name of ['SIGNING_KEY', 'VERIFICATION_KEY', 'API_KEY', 'API_KEYS']) {
    expect(out).toMatch(new RegExp(`^DISPATCH_${name}=\\S+$`, 'm'));
  }
});
