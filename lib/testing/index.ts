/**
 * What tests of durable functions, of endpoints and of clients need. Nothing here needs a network but `DispatchServer`
 * and `EndpointClient.fromUrl`.
 *
 * - `TestTime`: the real scheduler, in memory, on time that the test moves.
 * - `EndpointClient`: calls an application's endpoint as a scheduler does.
 * - `DispatchService`, `DispatchServer`: a small scheduler, and the same on HTTP.
 * - `generateKeyPair`, `signRequest` and their like: keys and signatures.
 */
export { DispatchServer, type DispatchServerOptions } from './dispatch.server.js';
export {
  DispatchService,
  type DispatchContext,
  type DispatchServiceOptions,
  type QueuedRun,
  type Roundtrip,
} from './dispatch.service.js';
export { EndpointClient, type EndpointClientOptions, type FromAppOptions } from './endpoint.client.js';
export type { HttpClient, HttpClientRequest, HttpClientResponse } from './http-client.js';
export { TestTime, type TestTimeOptions } from './test-time.js';
export { pack, unpack } from '../values/index.js';
export {
  generateKeyPair,
  parsePrivateKey,
  parsePublicKey,
  signRequest,
  SignatureError,
  verifyRequest,
} from '../signature/index.js';
export type { KeyPair, PrivateKey, PublicKey } from '../signature/index.js';
