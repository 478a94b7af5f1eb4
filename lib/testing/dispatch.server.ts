import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { fromBinary, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf';
import { codecOf, ConnectError, DISPATCH_PATH, JSON_TYPE, PROTO_TYPE } from '../endpoint/index.js';
import { messageTypes } from '../values/index.js';
import { ConfigurationError, InvalidArgumentError, UnauthenticatedError } from '../errors/index.js';
import {
  DispatchRequestSchema,
  DispatchResponseSchema,
  type DispatchRequest,
} from '../gen/dispatch/sdk/v1/dispatch_pb.js';
import type { DispatchService } from './dispatch.service.js';

export interface DispatchServerOptions {
  /** The address to listen on. Default `'127.0.0.1'`. */
  readonly hostname?: string;
  /** The port to listen on; 0: any that is free. Default 0. */
  readonly port?: number;
}

const MAX_BODY_BYTES = 16_000_000;

/**
 * Serves a `DispatchService` on HTTP, to real clients of the protocol: binary and JSON.
 *
 * ```ts
 * const server = new DispatchServer(service);
 * await server.start(); // server.url is what DISPATCH_API_URL is to be
 * ```
 *
 * It takes calls only; `service.start()`, or `service.dispatchCalls()`, runs them.
 */
export class DispatchServer {
  private readonly hostname: string;
  private readonly port: number;
  private server: Server | undefined;

  constructor(
    private readonly service: Pick<DispatchService, 'dispatch'>,
    { hostname = '127.0.0.1', port = 0 }: DispatchServerOptions = {},
  ) {
    this.hostname = hostname;
    this.port = port;
  }

  /**
   * The address that clients send their calls to: `http://127.0.0.1:41234`.
   *
   * @throws ConfigurationError while it is not started
   */
  get url(): string {
    const address = this.server?.address();
    if (typeof address !== 'object' || address === null) {
      throw new ConfigurationError('The DispatchServer has no address yet: await start() first.');
    }
    return `http://${this.hostname.includes(':') ? `[${this.hostname}]` : this.hostname}:${address.port}`;
  }

  /**
   * Resolves when it listens. Does nothing when it does.
   *
   * @throws Error of Node when it cannot: `EADDRINUSE`, `EACCES`, `ENOTFOUND`
   */
  async start(): Promise<void> {
    if (this.server !== undefined) return;
    const server = createServer((request, response) => void this.serve(request, response));
    this.server = server;
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(this.port, this.hostname, resolve);
      });
    } catch (error) {
      this.server = undefined;
      throw error;
    }
  }

  /** Resolves when all connections are closed. */
  async stop(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, type, body } = await this.answer(request).catch(refusal);
    if (response.destroyed) return;
    response.writeHead(status, { 'content-type': type, 'content-length': String(body.byteLength) });
    response.end(body);
  }

  private async answer(request: IncomingMessage): Promise<Answer> {
    const { headers } = request;
    if (request.method !== 'POST' || request.url?.split('?', 1)[0] !== DISPATCH_PATH) {
      throw new ConnectError('not_found', 'there is no such path');
    }
    const isJson = codecOf(headers['content-type'], headers['content-encoding']).contentType === JSON_TYPE;
    const message = decode(await read(request), isJson);
    const dispatched = await this.service.dispatch(message, { headers: { authorization: headers.authorization } });
    const body = isJson
      ? new TextEncoder().encode(toJsonString(DispatchResponseSchema, dispatched, { registry: messageTypes }))
      : toBinary(DispatchResponseSchema, dispatched);
    return { status: 200, type: isJson ? JSON_TYPE : PROTO_TYPE, body };
  }
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: Uint8Array;
}

function refusal(error: unknown): Answer {
  const refused = connectErrorOf(error);
  return { status: refused.httpStatus, type: JSON_TYPE, body: refused.toBody() };
}

function connectErrorOf(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof UnauthenticatedError) return new ConnectError('unauthenticated', error.message);
  if (error instanceof InvalidArgumentError) return new ConnectError('invalid_argument', error.message);
  return new ConnectError('internal', 'internal error');
}

async function read(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > MAX_BODY_BYTES) throw new ConnectError('invalid_argument', 'content length is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function decode(body: Uint8Array, isJson: boolean): DispatchRequest {
  try {
    if (!isJson) return fromBinary(DispatchRequestSchema, body);
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body);
    return fromJsonString(DispatchRequestSchema, text, { registry: messageTypes, ignoreUnknownFields: true });
  } catch {
    throw new ConnectError('invalid_argument', 'the body is no DispatchRequest of the given content type');
  }
}
