import type { IncomingMessage, ServerResponse } from 'node:http';
import { MAX_MESSAGE_BYTES } from '../protocol/index.js';
import { FUNCTION_SERVICE_PATH } from './connect.js';
import type { EndpointRequest, FunctionEndpoint } from './function.endpoint.js';
import { discardRest, readBody, type ServerRequest } from './request.body.js';

/** Handles the requests of the endpoint's route and hands on all others. */
export type EndpointMiddleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

export interface EndpointMiddlewareOptions {
  /** How long a request's body may take to arrive, in milliseconds. Default: 1 min. Fastify has no limit of its own. */
  readonly bodyTimeout?: number;
}

const BODY_TIMEOUT = 60_000;

/**
 * The endpoint as middleware of Node's HTTP server, which is what Express and Fastify take.
 *
 * @param isBasePath whether the route is below that path (`''`, `/api`); asked at each request, because an application
 * sets its global prefix after its modules have been created
 */
export function endpointMiddleware(
  endpoint: FunctionEndpoint,
  isBasePath: (path: string) => boolean,
  { bodyTimeout = BODY_TIMEOUT }: EndpointMiddlewareOptions = {},
): EndpointMiddleware {
  return (request: ServerRequest, response, next) => {
    const target = request.originalUrl ?? request.url ?? '';
    const path = target.split('?', 1)[0] ?? '';
    const start = path.indexOf(FUNCTION_SERVICE_PATH);
    if (request.method !== 'POST' || start === -1 || !isBasePath(path.slice(0, start))) return next();
    void serve(endpoint, request, response, { target, procedure: path.slice(start), bodyTimeout });
  };
}

async function serve(
  endpoint: FunctionEndpoint,
  request: ServerRequest,
  response: ServerResponse,
  { target, procedure, bodyTimeout }: { target: string; procedure: string; bodyTimeout: number },
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
