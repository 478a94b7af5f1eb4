import type { IncomingMessage, ServerResponse } from 'node:http';
import { ConnectError, FUNCTION_SERVICE_PATH } from './connect.js';
import type { EndpointRequest, FunctionEndpoint } from './function.endpoint.js';

/** A request of Node's HTTP server, with what body parsers may have left on it. */
type ServerRequest = IncomingMessage & { originalUrl?: string; rawBody?: unknown; body?: unknown };

/** Handles the requests of the endpoint's route and hands on all others. */
export type EndpointMiddleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

/**
 * The endpoint as middleware of Node's HTTP server, which is what Express and Fastify take.
 *
 * @param isBasePath whether the route is below that path (`''`, `/api`); asked at each request, because an application
 * sets its global prefix after its modules have been created
 */
export function endpointMiddleware(
  endpoint: FunctionEndpoint,
  isBasePath: (path: string) => boolean,
): EndpointMiddleware {
  return (request: ServerRequest, response, next) => {
    const target = request.originalUrl ?? request.url ?? '';
    const path = target.split('?', 1)[0] ?? '';
    const start = path.indexOf(FUNCTION_SERVICE_PATH);
    if (request.method !== 'POST' || start === -1 || !isBasePath(path.slice(0, start))) return next();
    void serve(endpoint, request, response, target, path.slice(start));
  };
}

async function serve(
  endpoint: FunctionEndpoint,
  request: ServerRequest,
  response: ServerResponse,
  target: string,
  procedure: string,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new DOMException('The client has gone away', 'AbortError'));
  });
  const { status, headers, body } = await endpoint.handle({
    method: request.method ?? '',
    procedure,
    target,
    headers: request.headers,
    read: () => readBody(request),
    signal: gone.signal,
  } satisfies EndpointRequest);
  if (response.destroyed) return;
  response.writeHead(status, { ...headers, 'content-length': String(body.byteLength) });
  response.end(body);
}

/** The body's bytes as they came: signatures are of them. */
async function readBody(request: ServerRequest): Promise<Uint8Array> {
  if (request.rawBody instanceof Uint8Array) return request.rawBody;
  if (request.body instanceof Uint8Array) return request.body;
  if (request.readableEnded || request.readableDidRead) {
    throw new ConnectError(
      'invalid_argument',
      'a body parser has read the request before the endpoint could: create the application with rawBody: true, ' +
        'or register the parser after the Nest application has been created',
    );
  }
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk);
  } catch {
    throw new ConnectError('invalid_argument', 'the connection broke before the whole body was there');
  }
  return Buffer.concat(chunks);
}
