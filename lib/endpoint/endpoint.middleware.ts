import type { IncomingMessage, ServerResponse } from 'node:http';
import { MAX_MESSAGE_BYTES } from '../protocol/index.js';
import { routeOf, type EndpointRoute, type IsBasePath } from './endpoint.route.js';
import type { EndpointRequest, FunctionEndpoint } from './function.endpoint.js';
import { discardRest, readBody, type ServerRequest } from './request.body.js';

/** Handles the requests of the endpoint's route and hands on all others. */
export type EndpointMiddleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

export interface EndpointMiddlewareOptions {
  /** How long a request's body may take to arrive, in milliseconds. Default: 1 min. Fastify has no limit of its own. */
  readonly bodyTimeout?: number;
  /** Told of each request of the route. */
  readonly onRequest?: (request: IncomingMessage) => void;
}

const BODY_TIMEOUT = 60_000;

/**
 * The endpoint as middleware of Node's HTTP server, which is what Express and Fastify take.
 *
 * @param isBasePath asked at each request, because an application sets its global prefix after its modules have been
 * created
 */
export function endpointMiddleware(
  endpoint: Pick<FunctionEndpoint, 'handle'>,
  isBasePath: IsBasePath,
  { bodyTimeout = BODY_TIMEOUT, onRequest }: EndpointMiddlewareOptions = {},
): EndpointMiddleware {
  return (request, response, next) => {
    const route = routeOf(request, isBasePath);
    if (route === undefined) return next();
    onRequest?.(request);
    void serve(endpoint, request, response, route, bodyTimeout);
  };
}

async function serve(
  endpoint: Pick<FunctionEndpoint, 'handle'>,
  request: ServerRequest,
  response: ServerResponse,
  { target, procedure }: EndpointRoute,
  bodyTimeout: number,
): Promise<void> {
  // What stands in front may have taken so long that the caller has gone away.
  if (response.destroyed) return;
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new DOMException('The client has gone away', 'AbortError'));
  });
  const { status, headers, body } = await endpoint.handle({
    method: request.method ?? '',
    procedure,
    target,
    headers: request.headers,
    read: (limit, signal) => readBody(request, { limit, timeout: bodyTimeout, signal }),
    signal: gone.signal,
  } satisfies EndpointRequest);
  // What stands in front may have a time limit of its own, and have answered when that was over.
  if (response.destroyed || response.headersSent) return;
  discardRest(request, MAX_MESSAGE_BYTES, bodyTimeout);
  response.writeHead(status, { ...headers, 'content-length': String(body.byteLength) });
  response.end(body);
}
