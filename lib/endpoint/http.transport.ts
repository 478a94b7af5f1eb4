import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Status, statusOf, statusOfHttp } from '../errors/index.js';
import { RunRequestSchema, RunResponseSchema, type RunRequest } from '../gen/dispatch/sdk/v1/function_pb.js';
import { MAX_MESSAGE_BYTES, type RunAnswer } from '../protocol/index.js';
import type { RunOptions, Transport } from '../scheduler/transport.js';
import { timeoutHeader } from './request.deadline.js';
import {
  attemptHeader,
  methodUrl,
  OWN_VALUES,
  PROTO_TYPE,
  readErrorMessage,
  RUN_PATH,
  VALUES_HEADER,
} from './connect.js';
import { EndpointRefusedError, type EndpointGuard } from './endpoint.guard.js';
import { carriesOwnValues, foreignRequest } from './own.values.js';
import { errorClassOfStatus } from './status.errors.js';
import { HttpExchange, ReplyTooLargeError, type HttpReply } from './http-exchange.js';

/** Signs a request: the headers to send, those of the signature included. */
export type RequestSigner = (request: {
  readonly method: 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}) => Record<string, string> | Promise<Record<string, string>>;

export interface HttpTransportOptions {
  /** Left out: requests are not signed. */
  readonly sign?: RequestSigner;
  /** The largest answer that is read, in bytes. Default: 16,000,000. */
  readonly maxReplyBytes?: number;
  /** Which endpoints may be called. Default: all. */
  readonly guard?: EndpointGuard;
}

/** How many endpoints are remembered that read our own values. */
const REMEMBERED = 10_000;

/** Runs functions of other applications: posts to their endpoints, as PROTOCOL says. */
export class HttpTransport implements Transport {
  readonly adapts = true;
  private readonly exchange: HttpExchange;
  private readonly sign: RequestSigner | undefined;
  private readonly guard: EndpointGuard | undefined;
  /** Endpoints that have said that they read our own values. */
  private readonly readers = new Set<string>();

  constructor({ maxReplyBytes = MAX_MESSAGE_BYTES, guard, sign }: HttpTransportOptions = {}) {
    this.exchange = new HttpExchange(maxReplyBytes);
    this.sign = sign;
    this.guard = guard;
  }

  extended(): boolean {
    return false;
  }

  async run(endpoint: string, request: RunRequest, options: RunOptions): Promise<RunAnswer> {
    const url = endpointUrl(endpoint);
    if (url === undefined) {
      return failure(
        Status.INVALID_ARGUMENT,
        `the endpoint ${endpoint} cannot be called: only those of the schemes http and https can`,
      );
    }
    try {
      if (!carriesOwnValues(request) || (await this.readsOwnValues(url, options))) {
        return answerOf(await this.post(url, request, options), url);
      }
      const foreign = foreignRequest(endpoint, request);
      if (foreign.kind === 'refusal') return failure(foreign.status, foreign.message);
      return answerOf(await this.post(url, foreign.request, options), url);
    } catch (error) {
      return failedExchange(error, url, options.signal);
    }
  }

  /** Closes the idle connections. */
  close(): void {
    this.exchange.close();
  }

  /** An endpoint that nothing is known of is asked with a request that it can only refuse: the answer tells. */
  private async readsOwnValues(url: URL, options: RunOptions): Promise<boolean> {
    if (!this.readers.has(url.href)) await this.post(url, create(RunRequestSchema), options);
    return this.readers.has(url.href);
  }

  private async post(url: URL, request: RunRequest, { signal, deadline, attempt }: RunOptions): Promise<HttpReply> {
    const lookup = this.guard?.admit(url);
    const body = toBinary(RunRequestSchema, request);
    const headers = {
      'content-type': PROTO_TYPE,
      accept: PROTO_TYPE,
      ...timeoutHeader(deadline),
      ...attemptHeader(attempt),
    };
    const signed = this.sign === undefined ? headers : await this.sign({ method: 'POST', url, headers, body });
    // A run that arrives twice does no harm: the answer of the older one is ignored.
    const reply = await this.exchange.post(url, { headers: signed, body, signal, lookup, repeatable: true });
    this.note(url, reply);
    return reply;
  }

  private note({ href }: URL, { headers }: HttpReply): void {
    if (headers[VALUES_HEADER] !== OWN_VALUES) return void this.readers.delete(href);
    if (this.readers.size >= REMEMBERED) this.readers.clear();
    this.readers.add(href);
  }
}

function endpointUrl(endpoint: string): URL | undefined {
  if (!URL.canParse(endpoint)) return undefined;
  const url = new URL(endpoint);
  return url.protocol === 'http:' || url.protocol === 'https:' ? methodUrl(url, RUN_PATH) : undefined;
}

function answerOf(reply: HttpReply, url: URL): RunAnswer {
  if (reply.status !== 200) {
    const status = reply.status >= 200 && reply.status < 300 ? Status.INVALID_RESPONSE : statusOfHttp(reply.status);
    const detail = readErrorMessage(reply.body);
    const message = `${url.origin} answered with HTTP status ${reply.status}${detail === undefined ? '' : `: ${detail}`}`;
    const answer = failure(status, message, retryAfter(reply));
    // The application has failed for this request; it is there, and others may go through. Proxies have 502 to 504.
    return reply.status === 500 ? { ...answer, ran: true } : answer;
  }
  try {
    return { response: fromBinary(RunResponseSchema, reply.body), ran: true };
  } catch {
    return failure(Status.INVALID_RESPONSE, `${url.origin} answered with a body that is no RunResponse`);
  }
}

function failedExchange(error: unknown, url: URL, signal: AbortSignal): RunAnswer {
  if (signal.aborted) {
    return failure(Status.TIMEOUT, `${url.origin} did not answer before the run's deadline`);
  }
  if (error instanceof EndpointRefusedError) return failure(Status.PERMISSION_DENIED, error.message);
  if (error instanceof ReplyTooLargeError) {
    return failure(Status.INVALID_RESPONSE, `${url.origin} cannot be used: ${error.message}`);
  }
  const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
  const message = error instanceof Error ? error.message : String(error);
  return failure(statusOf(error, Status.HTTP_ERROR), `${url.origin} could not be called: ${message}${code}`);
}

/** A failure on the way as the answer of a run. */
export function failure(status: Status, message: string, after?: number): RunAnswer {
  const error = { type: errorClassOfStatus(status).prototype.name, message };
  const response = create(RunResponseSchema, {
    status,
    directive: { case: 'exit', value: { result: { error } } },
  });
  return after === undefined ? { response } : { response, retryAfter: after };
}

/** RFC 9110, 10.2.3: seconds, or a date. */
function retryAfter(reply: HttpReply): number | undefined {
  const value = reply.headers['retry-after'];
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
