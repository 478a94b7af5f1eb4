export type { HeaderFields, HttpRequest } from './http-request.js';
export { generateKeyPair, type KeyPair, parsePrivateKey, parsePublicKey, PrivateKey, PublicKey } from './keys.js';
export { type SignatureHeaders, type SignOptions, signRequest } from './sign.js';
export { SignatureError } from './signature.error.js';
export { type VerifyOptions, verifyRequest } from './verify.js';
