import { setTimeout as delay } from 'node:timers/promises';
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import type { Sourced } from '../dispatch.settings.js';
import {
  errorClassOfStatus,
  HttpExchange,
  methodUrl,
  PROTO_TYPE,
  readErrorMessage,
  type HttpReply,
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
import { MAX_MESSAGE_BYTES } from '../protocol/index.js';

/** PROTOCOL: the clients of the scheduler give it 5 s. */
const REQUEST_TIMEOUT = 5_000;
/** Pauses before a connection that could not be made is tried again. */
const CONNECT_PAUSES = [100, 400];

export interface RemoteSchedulerSettings {
  readonly apiUrl: Sourced<URL>;
  readonly apiKey: Sourced<string> | undefined;
}

export interface InvokeOptions {
  /** How long the scheduler may take to answer, in milliseconds. Default 5,000. */
  readonly timeout?: number;
  /** Ends the request with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The scheduler has no such method: it only knows the protocol of Dispatch, or is an older one. */
export class NoSuchMethodError extends Error {
  override readonly name = 'NoSuchMethodError';
}

/** The services of a scheduler that is reached over the network: unary methods of Connect, in binary. */
export class RemoteScheduler {
  private readonly exchange = new HttpExchange(MAX_MESSAGE_BYTES);

  constructor(private readonly settings: RemoteSchedulerSettings) {}

  /** What messages call it. */
  get origin(): string {
    return this.settings.apiUrl.value.origin;
  }

  /** What messages call the setting of its address. */
  get source(): string {
    return this.settings.apiUrl.source;
  }

  /**
   * Calls a method and resolves with its answer.
   *
   * @throws UnauthenticatedError when the scheduler does not accept the API key
   * @throws NoSuchMethodError for HTTP 404, 405 and 501
   * @throws TimeoutError when it does not answer in time; it may have done what it was asked to
   * @throws DispatchError of another class when it refuses the request, or cannot be reached
   */
  async invoke<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
    { timeout = REQUEST_TIMEOUT, signal }: InvokeOptions = {},
  ): Promise<MessageShape<O>> {
    const url = methodUrl(this.settings.apiUrl.value, `/${method.parent.typeName}/${method.name}`);
    const body = toBinary(method.input, create(method.input, init));
    if (body.byteLength > MAX_MESSAGE_BYTES) throw tooLarge(body.byteLength);
    const reply = await this.send(url, body, timeout, signal);
    if (reply.status !== 200) throw this.refusal(reply);
    try {
      return fromBinary(method.output, reply.body);
    } catch (error) {
      throw new InvalidResponseError(
        `The scheduler at ${this.origin} answered with something that is no ${method.output.name}: check ${this.source}.`,
        { cause: error },
      );
    }
  }

  /** Closes the idle connections. */
  close(): void {
    this.exchange.close();
  }

  private async send(url: URL, body: Uint8Array, timeout: number, signal?: AbortSignal): Promise<HttpReply> {
    const { apiKey } = this.settings;
    const headers = {
      'content-type': PROTO_TYPE,
      'connect-protocol-version': '1',
      'connect-timeout-ms': String(timeout),
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey.value}` }),
    };
    for (let attempt = 0; ; attempt++) {
      const limit = AbortSignal.timeout(timeout);
      try {
        const either = signal === undefined ? limit : AbortSignal.any([signal, limit]);
        return await this.exchange.post(url, { headers, body, signal: either });
      } catch (error) {
        signal?.throwIfAborted();
        const pause = CONNECT_PAUSES[attempt];
        if (pause === undefined || !neverConnected(error)) throw this.unreachable(error, limit.aborted, timeout);
        await delay(pause, undefined, { signal });
      }
    }
  }

  private unreachable(error: unknown, timedOut: boolean, timeout: number): Error {
    const reason = error instanceof Error ? error.message : String(error);
    if (timedOut) {
      return new TimeoutError(
        `The scheduler at ${this.origin} did not answer within ${timeout} ms; what it was asked for may have been done or not. Check ${this.source}.`,
        { cause: error },
      );
    }
    const type = errorClassOfStatus(statusOf(error, Status.HTTP_ERROR));
    return new type(`The scheduler at ${this.origin} cannot be reached: ${reason}. Check ${this.source}.`, {
      cause: error,
    });
  }

  private refusal(reply: HttpReply): Error {
    const { apiKey } = this.settings;
    const detail = readErrorMessage(reply.body);
    const said = detail === undefined ? '' : ` (${detail})`;
    switch (reply.status) {
      case 401:
        return new UnauthenticatedError(
          apiKey === undefined
            ? `The scheduler at ${this.origin} wants an API key${said}: set DISPATCH_API_KEY, or the option apiKey.`
            : `The scheduler at ${this.origin} does not accept the API key${said}: check ${apiKey.source}.`,
        );
      case 404:
      case 405:
      case 501:
        return new NoSuchMethodError(`HTTP status ${reply.status}${said}`);
      default:
        return new (errorClassOfStatus(statusOfHttp(reply.status)))(
          `The scheduler at ${this.origin} refused the request with HTTP status ${reply.status}${said}.`,
        );
    }
  }
}

function tooLarge(bytes: number): InvalidArgumentError {
  const [size, limit] = [bytes, MAX_MESSAGE_BYTES].map((count) => count.toLocaleString('en-US'));
  return new InvalidArgumentError(
    `The request takes ${size} bytes, more than the ${limit} of a message: dispatch fewer calls at a time, or pass references.`,
  );
}

/** Nothing of the request has left: sending it again cannot do anything twice. */
function neverConnected(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // Several addresses of one name are tried, and fail, together.
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(neverConnected);
  return 'syscall' in error && (error.syscall === 'connect' || error.syscall === 'getaddrinfo');
}
