import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { Point } from '@noble/ed25519';
import { ConfigurationError } from '../errors/index.js';

const LENGTH = 32;
const RAW_BASE64 = /^[A-Za-z0-9+/]{43}=$/;

/** What SubjectPublicKeyInfo has before the 32 bytes of an Ed25519 key (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** Verifies signatures. */
export class PublicKey {
  constructor(
    /** The form that node:crypto takes, made once. */
    readonly keyObject: KeyObject,
  ) {}

  /** The 32 raw bytes. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.keyObject.export({ format: 'der', type: 'spki' }).subarray(-LENGTH));
  }
}

/** Makes signatures. Neither logs nor JSON show what is in it. */
export class PrivateKey {
  readonly #seed: Uint8Array;

  constructor(seed: Uint8Array) {
    this.#seed = seed;
  }

  /** The 32 raw bytes. */
  get bytes(): Uint8Array {
    return this.#seed.slice();
  }
}

/** A key pair as text, in both forms that settings take. */
export interface KeyPair {
  /** PEM, SubjectPublicKeyInfo: for `DISPATCH_VERIFICATION_KEY`. */
  readonly publicKey: string;
  /** PEM, PKCS #8. */
  readonly privateKey: string;
  /** The 32 raw bytes in base64. */
  readonly publicKeyBase64: string;
  /** The 32 raw bytes in base64. */
  readonly privateKeyBase64: string;
}

/**
 * Reads an Ed25519 public key: PEM (where a literal `\n` counts as a line break, as environment variables have it) or
 * base64 of the 32 raw bytes.
 *
 * @param setting where the text came from, for messages: `DISPATCH_VERIFICATION_KEY`
 * @throws ConfigurationError that names the setting and never shows the text
 */
export function parsePublicKey(text: string, setting: string): PublicKey {
  const key = unescape(text);
  if (key.includes('PRIVATE KEY-----')) {
    throw new ConfigurationError(
      `${setting} holds a private key: give the public one, and treat the private one as leaked`,
    );
  }
  const bytes = RAW_BASE64.test(key) ? Buffer.from(key, 'base64') : pemBytes(key, setting, 'public');
  checkPoint(bytes, setting);
  return new PublicKey(createPublicKey({ key: Buffer.concat([SPKI_PREFIX, bytes]), format: 'der', type: 'spki' }));
}

/**
 * Reads an Ed25519 private key: PEM (PKCS #8; a literal `\n` counts as a line break) or base64 of the 32 raw bytes.
 *
 * @param setting where the text came from, for messages
 * @throws ConfigurationError that names the setting and never shows the text
 */
export function parsePrivateKey(text: string, setting: string): PrivateKey {
  const key = unescape(text);
  if (key.includes('PUBLIC KEY-----'))
    throw new ConfigurationError(`${setting} holds a public key: give the private one`);
  const bytes = RAW_BASE64.test(key) ? Buffer.from(key, 'base64') : pemBytes(key, setting, 'private');
  return new PrivateKey(new Uint8Array(bytes));
}

/** Makes a new key pair. */
export function generateKeyPair(): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return {
    publicKey: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    publicKeyBase64: rawBytes(publicKey).toString('base64'),
    privateKeyBase64: rawBytes(privateKey).toString('base64'),
  };
}

function unescape(text: string): string {
  return text.replaceAll('\\n', '\n').trim();
}

function pemBytes(pem: string, setting: string, kind: 'public' | 'private'): Buffer {
  const label = `-----BEGIN ${kind.toUpperCase()} KEY-----`;
  const wanted = `give an Ed25519 ${kind} key as PEM (${label} …) or as base64 of its 32 raw bytes`;
  if (!pem.startsWith(label)) throw new ConfigurationError(`${setting} is no ${kind} key: ${wanted}`);
  let key: KeyObject;
  try {
    key = kind === 'public' ? createPublicKey(pem) : createPrivateKey(pem);
  } catch {
    // The reason may quote the text.
    throw new ConfigurationError(`${setting} is PEM that cannot be read: ${wanted}`);
  }
  if (key.asymmetricKeyType === 'ed25519') return rawBytes(key);
  throw new ConfigurationError(`${setting} is a key of type ${key.asymmetricKeyType ?? 'unknown'}: ${wanted}`);
}

/** Both encodings of an Ed25519 key end with its 32 bytes (RFC 8410). */
function rawBytes(key: KeyObject): Buffer {
  const der =
    key.type === 'public' ? key.export({ format: 'der', type: 'spki' }) : key.export({ format: 'der', type: 'pkcs8' });
  return der.subarray(-LENGTH);
}

/** node:crypto takes any 32 bytes; a mistyped key must not wait for the first request to be found. */
function checkPoint(bytes: Uint8Array, setting: string): void {
  let weak = true;
  try {
    weak = Point.fromBytes(new Uint8Array(bytes)).isSmallOrder();
  } catch {
    // Not on the curve.
  }
  if (weak) throw new ConfigurationError(`${setting} is no Ed25519 public key: check that it was copied whole`);
}
