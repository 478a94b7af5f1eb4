import type { IncomingMessage } from 'node:http';
import { ConnectError } from './connect.js';

/** A request of Node's HTTP server, with what body parsers may have left on it. */
export type ServerRequest = IncomingMessage & { originalUrl?: string; rawBody?: unknown; body?: unknown };

export interface BodyLimits {
  /** Bytes; not more are read. */
  readonly limit: number;
  /** How long the body may take to arrive, in milliseconds. */
  readonly timeout: number;
  /** Fires when nobody waits for it any more. */
  readonly signal?: AbortSignal;
}

/**
 * The body's bytes as they came: signatures are of them.
 *
 * @throws ConnectError when they are not all there
 */
export function readBody(request: ServerRequest, limits: BodyLimits): Promise<Uint8Array> {
  if (request.rawBody instanceof Uint8Array) return Promise.resolve(request.rawBody);
  if (request.body instanceof Uint8Array) return Promise.resolve(request.body);
  if (request.readableEnded || request.readableDidRead) {
    return Promise.reject(
      new ConnectError(
        'invalid_argument',
        'a body parser has read the request before the endpoint could: create the application with rawBody: true, ' +
          'or register the parser after the Nest application has been created',
      ),
    );
  }
  return collect(request, limits);
}

function collect(request: IncomingMessage, { limit, timeout, signal }: BodyLimits): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    const stop = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbandoned);
      request.off('data', onData).off('end', onEnd).off('error', onBroken).off('close', onBroken);
    };
    const refuse = (error: ConnectError): void => {
      stop();
      // What is still to come must not pile up before `discardRest` sees to it.
      request.pause();
      reject(error);
    };
    const onData = (chunk: Uint8Array): void => {
      size += chunk.byteLength;
      if (size > limit) refuse(new ConnectError('invalid_argument', 'content length is too large'));
      else chunks.push(chunk);
    };
    const onEnd = (): void => {
      stop();
      resolve(Buffer.concat(chunks));
    };
    const onBroken = (): void =>
      refuse(new ConnectError('invalid_argument', 'the connection broke before the whole body was there'));
    const onAbandoned = (): void =>
      refuse(new ConnectError('deadline_exceeded', 'the body was not there within the time of the request'));
    const timer = setTimeout(() => {
      refuse(new ConnectError('deadline_exceeded', `the body was not there within ${timeout} ms`));
    }, timeout);
    if (request.destroyed) return onBroken();
    if (signal?.aborted === true) return onAbandoned();
    signal?.addEventListener('abort', onAbandoned);
    request.on('data', onData).on('end', onEnd).on('error', onBroken).on('close', onBroken);
  });
}

/**
 * Reads on where a request was refused before its body was there, so that a caller which is still sending gets to see
 * the answer; one that does not come to an end is cut off.
 *
 * @param limit bytes
 * @param timeout milliseconds
 */
export function discardRest(request: IncomingMessage, limit: number, timeout: number): void {
  if (request.complete || request.destroyed) return;
  let rest = limit;
  const cut = (): void => {
    request.socket.destroy();
  };
  // A process that ends does not wait for it.
  const timer = setTimeout(cut, timeout).unref();
  request.on('error', () => undefined);
  request.once('close', () => clearTimeout(timer));
  request.once('end', () => clearTimeout(timer));
  request.on('data', (chunk: Uint8Array) => {
    rest -= chunk.byteLength;
    if (rest < 0) cut();
  });
  request.resume();
}
