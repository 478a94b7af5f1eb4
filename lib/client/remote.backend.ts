import { setTimeout as delay } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { RemoteSettings, Sourced } from '../dispatch.settings.js';
import {
  errorClassOfStatus,
  DISPATCH_PATH,
  HttpExchange,
  methodUrl,
  PROTO_TYPE,
  readErrorMessage,
} from '../endpoint/index.js';
import {
  InvalidArgumentError,
  InvalidResponseError,
  Status,
  statusOf,
  statusOfHttp,
  TimeoutError,
  UnauthenticatedError,
} from '../errors/index.js';
import { CallSchema, type Call } from '../gen/dispatch/sdk/v1/call_pb.js';
import {
  DispatchRequestSchema,
  DispatchResponseSchema,
  type DispatchRequest,
} from '../gen/dispatch/sdk/v1/dispatch_pb.js';
import type { HttpReply } from '../endpoint/index.js';
import type { Backend, OutgoingCall } from './backend.js';
import type { DispatchID } from './client.types.js';
import { readResult } from './call.result.js';
import type { RemoteResults } from './remote.results.js';

/** PROTOCOL: the clients of the scheduler give it 5 s. */
const DISPATCH_TIMEOUT = 5_000;
const DEFAULT_WAIT = 5 * 60_000;
/** Pauses before a connection that could not be made is tried again. */
const CONNECT_PAUSES = [100, 400];
const MAX_REPLY_BYTES = 16_000_000;

/** A scheduler that is reached over the network: `DispatchService` of PROTOCOL. */
export class RemoteBackend implements Backend {
  readonly waitsDurably = false;
  private readonly exchange = new HttpExchange(MAX_REPLY_BYTES);
  private readonly url: URL;

  constructor(
    private readonly settings: RemoteSettings,
    /** This application's own address, where the scheduler is to run its functions. */
    private readonly endpointUrl: Sourced<URL> | undefined,
    private readonly results: RemoteResults,
  ) {
    this.url = methodUrl(settings.apiUrl.value, DISPATCH_PATH);
  }

  async dispatch(calls: readonly OutgoingCall[]): Promise<DispatchID[]> {
    const request = create(DispatchRequestSchema, { calls: calls.map((call) => this.toCall(call)) });
    const reply = await this.send(request);
    if (reply.status !== 200) throw this.refusal(reply);
    const ids = this.readIds(reply);
    if (ids.length === calls.length) return ids;
    throw new InvalidResponseError(
      `The scheduler at ${this.url.origin} answered ${calls.length} calls with ${ids.length} ids: check ${this.settings.apiUrl.source}.`,
    );
  }

  async wait(
    id: DispatchID,
    { timeout = DEFAULT_WAIT, signal }: { timeout: number | undefined; signal: AbortSignal | undefined },
  ): Promise<unknown> {
    const seen = await this.results.take(id, timeout, signal);
    if (seen !== undefined) return readResult(seen.result, seen.status);
    throw new TimeoutError(
      `The result of call ${id} has not come within ${timeout} ms. With a remote scheduler a process sees only the results ` +
        `of functions that it ran itself: the call may be running still, or have run in another instance or application.`,
    );
  }

  get(): Promise<never> {
    return unsupported('get');
  }

  list(): Promise<never> {
    return unsupported('list');
  }

  cancel(): Promise<never> {
    return unsupported('cancel');
  }

  retry(): Promise<never> {
    return unsupported('retry');
  }

  /** Closes the idle connections. */
  close(): void {
    this.exchange.close();
  }

  private toCall(call: OutgoingCall): Call {
    for (const [option, value] of [
      ['idempotencyKey', call.idempotencyKey],
      ['priority', call.priority],
      ['key', call.key],
      ['delay or at', call.dueAt],
    ]) {
      if (value === undefined) continue;
      throw new InvalidArgumentError(
        `The call of ${call.function} has the option ${option}, which the protocol of remote schedulers does not have: ` +
          `leave it out, or use the embedded scheduler.`,
      );
    }
    const { input, function: name, version = '', expiration } = call;
    const lifetime = expiration === undefined ? undefined : durationFromMs(expiration);
    const endpoint = call.endpoint ?? this.ownEndpoint(name);
    return create(CallSchema, { endpoint, function: name, version, input, expiration: lifetime });
  }

  private ownEndpoint(name: string): string {
    if (this.endpointUrl !== undefined) return this.endpointUrl.value.href.replace(/\/$/, '');
    throw new InvalidArgumentError(
      `${name} cannot be dispatched: the scheduler must know where to call this application. Set DISPATCH_ENDPOINT_URL ` +
        `(or the option endpointUrl) to its address.`,
    );
  }

  private async send(request: DispatchRequest): Promise<HttpReply> {
    const { apiKey, apiUrl } = this.settings;
    const headers = {
      'content-type': PROTO_TYPE,
      'connect-protocol-version': '1',
      'connect-timeout-ms': String(DISPATCH_TIMEOUT),
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey.value}` }),
    };
    const body = toBinary(DispatchRequestSchema, request);
    for (let attempt = 0; ; attempt++) {
      const signal = AbortSignal.timeout(DISPATCH_TIMEOUT);
      try {
        return await this.exchange.post(this.url, { headers, body, signal });
      } catch (error) {
        const pause = CONNECT_PAUSES[attempt];
        if (pause === undefined || !neverConnected(error)) throw this.unreachable(error, signal.aborted, apiUrl.source);
        await delay(pause);
      }
    }
  }

  private unreachable(error: unknown, timedOut: boolean, source: string): Error {
    const reason = error instanceof Error ? error.message : String(error);
    if (timedOut) {
      return new TimeoutError(
        `The scheduler at ${this.url.origin} did not answer within ${DISPATCH_TIMEOUT} ms; the calls may have been taken or not. Check ${source}.`,
        { cause: error },
      );
    }
    const type = errorClassOfStatus(statusOf(error, Status.HTTP_ERROR));
    return new type(`The scheduler at ${this.url.origin} cannot be reached: ${reason}. Check ${source}.`, {
      cause: error,
    });
  }

  private refusal(reply: HttpReply): Error {
    const { apiKey, apiUrl } = this.settings;
    const detail = readErrorMessage(reply.body);
    const said = detail === undefined ? '' : ` (${detail})`;
    if (reply.status === 401) {
      return new UnauthenticatedError(
        apiKey === undefined
          ? `The scheduler at ${this.url.origin} wants an API key${said}: set DISPATCH_API_KEY, or the option apiKey.`
          : `The scheduler at ${this.url.origin} does not accept the API key${said}: check ${apiKey.source}.`,
      );
    }
    const status = statusOfHttp(reply.status);
    if (status === Status.NOT_FOUND) {
      return new (errorClassOfStatus(status))(
        `There is no Dispatch scheduler at ${this.url.origin}: it answered with HTTP status 404${said}. Check ${apiUrl.source}.`,
      );
    }
    return new (errorClassOfStatus(status))(
      `The scheduler at ${this.url.origin} refused the calls with HTTP status ${reply.status}${said}.`,
    );
  }

  private readIds(reply: HttpReply): string[] {
    try {
      return fromBinary(DispatchResponseSchema, reply.body).dispatchIds;
    } catch (error) {
      throw new InvalidResponseError(
        `The scheduler at ${this.url.origin} answered with something that is no DispatchResponse: check ${this.settings.apiUrl.source}.`,
        { cause: error },
      );
    }
  }
}

/** Nothing of the request has left: sending it again cannot dispatch its calls twice. */
function neverConnected(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // Several addresses of one name are tried, and fail, together.
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(neverConnected);
  return 'syscall' in error && (error.syscall === 'connect' || error.syscall === 'getaddrinfo');
}

function unsupported(method: string): Promise<never> {
  return Promise.reject(
    new InvalidArgumentError(
      `${method}() is not possible with a remote scheduler: its protocol only takes calls. Ask the scheduler itself, or use the embedded one.`,
    ),
  );
}
