/**
 * What one signature costs: @noble/ed25519 beside node:crypto.
 *
 *     node --import ./test/support/ts-loader.mjs test/bench/verify.bench.ts
 */
import { createHash, generateKeyPairSync, sign, verify } from 'node:crypto';
import * as noble from '@noble/ed25519';

const ROUNDS = 500;

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const publicBytes = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32));
const privateBytes = new Uint8Array(privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32));
const message = new Uint8Array(Buffer.alloc(400, 'signature base '));
const signature = new Uint8Array(sign(null, message, privateKey));
noble.hashes.sha512 = (bytes) => new Uint8Array(createHash('sha512').update(bytes).digest());

function measure(name: string, run: () => unknown): void {
  for (let round = 0; round < ROUNDS / 5; round++) run();
  const start = performance.now();
  for (let round = 0; round < ROUNDS; round++) run();
  const each = ((performance.now() - start) / ROUNDS) * 1000;
  console.log(`${name.padEnd(20)} ${each.toFixed(0).padStart(6)} µs`);
}

measure('node:crypto verify', () => verify(null, message, publicKey, signature));
measure('noble verify', () => noble.verify(signature, message, publicBytes));
measure('node:crypto sign', () => sign(null, message, privateKey));
measure('noble sign', () => noble.sign(message, privateBytes));
