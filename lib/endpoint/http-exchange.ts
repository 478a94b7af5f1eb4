import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';

export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

export interface HttpPost {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** Ends the exchange; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Sends the request once more when a kept connection turns out to have been closed by the other side before it
   * answered. Only for requests that do no harm when they arrive twice.
   */
  readonly repeatable?: boolean;
  /** Finds the addresses of the host for a new connection. Default: `dns.lookup`. */
  readonly lookup?: LookupFunction;
}

/** The other side answered with more than the limit. */
export class ReplyTooLargeError extends Error {
  override readonly name = 'ReplyTooLargeError';
}

/** How long an idle connection is kept: less than the 5 s after which Node's servers close theirs. */
const IDLE_CONNECTION = 4_000;

/** Posts requests over connections that are kept open between them. */
export class HttpExchange {
  private readonly agents = {
    'http:': new HttpAgent({ keepAlive: true, timeout: IDLE_CONNECTION }),
    'https:': new HttpsAgent({ keepAlive: true, timeout: IDLE_CONNECTION }),
  };

  constructor(private readonly maxReplyBytes: number) {}

  /** Rejects with the error of Node when the exchange fails, and with `ReplyTooLargeError`. Redirects are not followed. */
  async post(url: URL, post: HttpPost): Promise<HttpReply> {
    const first = await this.attempt(url, post);
    if (first.kind === 'reply') return first.reply;
    // The usual race of kept connections: the server closed it while the request was on its way.
    if (post.repeatable === true && first.reusedSocket && isReset(first.error)) {
      const second = await this.attempt(url, post);
      if (second.kind === 'reply') return second.reply;
      throw second.error;
    }
    throw first.error;
  }

  /** Closes the idle connections. */
  close(): void {
    this.agents['http:'].destroy();
    this.agents['https:'].destroy();
  }

  private attempt(
    url: URL,
    { headers, body, signal, lookup }: HttpPost,
  ): Promise<{ kind: 'reply'; reply: HttpReply } | { kind: 'failure'; error: Error; reusedSocket: boolean }> {
    return new Promise((resolve) => {
      const secure = url.protocol === 'https:';
      const request = (secure ? httpsRequest : httpRequest)(url, {
        method: 'POST',
        agent: secure ? this.agents['https:'] : this.agents['http:'],
        ...(lookup && { lookup }),
        headers: { ...headers, 'content-length': String(body.byteLength) },
      });
      const fail = (error: Error) => {
        signal?.removeEventListener('abort', abort);
        resolve({ kind: 'failure', error, reusedSocket: request.reusedSocket });
      };
      const abort = () => {
        const reason: unknown = signal?.reason;
        request.destroy(reason instanceof Error ? reason : new DOMException('The request was aborted', 'AbortError'));
      };
      request.on('error', fail);
      // The agent's timeout is for idle connections: it must not end an exchange that takes its time.
      request.on('timeout', () => undefined);
      request.on('response', (response) => {
        readReply(response, this.maxReplyBytes).then((reply) => {
          signal?.removeEventListener('abort', abort);
          resolve({ kind: 'reply', reply });
        }, fail);
      });
      if (signal?.aborted) abort();
      else {
        signal?.addEventListener('abort', abort, { once: true });
        request.end(body);
      }
    });
  }
}

async function readReply(response: IncomingMessage, limit: number): Promise<HttpReply> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > limit) {
      response.destroy();
      throw new ReplyTooLargeError(`the answer is larger than ${limit.toLocaleString('en-US')} bytes`);
    }
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
}

const isReset = (error: Error): boolean =>
  'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE') && !('reason' in error);
