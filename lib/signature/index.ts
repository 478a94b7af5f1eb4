export type { HeaderFields, HttpRequest, HttpRequestHead } from './http-request.js';
export { generateKeyPair, type KeyPair, parsePrivateKey, parsePublicKey, PrivateKey, PublicKey } from './keys.js';
export { type SignatureHeaders, type SignOptions, signRequest } from './sign.js';
export { SignatureError } from './signature.error.js';
export { type BodyVerifier, verifyHead, type VerifyOptions, verifyRequest } from './verify.js';
