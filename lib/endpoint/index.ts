export { isCrossOrigin } from './browser.js';
export { BlockedRequests } from './blocked.requests.js';
export { codecOf } from './codec.js';
export {
  ConnectError,
  DISPATCH_PATH,
  JSON_TYPE,
  methodUrl,
  PROTO_TYPE,
  readErrorMessage,
  RUN_PATH,
  VALUES_HEADER,
} from './connect.js';
export { EndpointRefusedError, type EndpointGuard } from './endpoint.guard.js';
export { endpointMiddleware, type EndpointMiddleware } from './endpoint.middleware.js';
export { EndpointMount, isBelowPrefix } from './endpoint.mount.js';
export {
  FunctionEndpoint,
  type EndpointRequest,
  type EndpointResponse,
  type FunctionEndpointOptions,
  type RequestVerifier,
} from './function.endpoint.js';
export { HttpExchange, type HttpReply } from './http-exchange.js';
export { failure, HttpTransport, type HttpTransportOptions, type RequestSigner } from './http.transport.js';
export { errorClassOfStatus } from './status.errors.js';
export { signerOf, verifierOf } from './signatures.js';
