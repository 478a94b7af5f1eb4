import type { FunctionLookup } from '../coroutine/types.js';
import type { RunRequest, RunResponse } from '../gen/dispatch/sdk/v1/function_pb.js';
import { Status } from '../errors/index.js';
import { MAX_MESSAGE_BYTES, type FunctionRunner } from '../protocol/index.js';
import { SignatureError, type BodyVerifier, type HttpRequestHead } from '../signature/index.js';
import { isCrossOrigin } from './browser.js';
import { codecOf, type Codec } from './codec.js';
import {
  ATTEMPT_HEADER,
  ConnectError,
  JSON_TYPE,
  methodUrl,
  OWN_VALUES,
  readAttempt,
  RUN_PATH,
  VALUES_HEADER,
  type RequestHeaders,
} from './connect.js';
import { failure } from './http.transport.js';
import { readTimeout, withinTime } from './request.deadline.js';

/** An HTTP request, whatever server it came to. */
export interface EndpointRequest {
  readonly method: string;
  /** The method of the service: the path below the application's global prefix. */
  readonly procedure: string;
  /** The whole path as it came in, with the query if there is one. */
  readonly target: string;
  readonly headers: RequestHeaders;
  /**
   * The raw body.
   * @param limit bytes; more need not be read, because they are refused
   * @param signal fires when nobody waits for it any more
   */
  read(limit: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** Fires when the client has gone away. */
  readonly signal?: AbortSignal;
}

export interface EndpointResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** Checks a request's signature before its body is read, and gives what checks the body; both throw SignatureError. */
export type RequestVerifier = (head: HttpRequestHead) => BodyVerifier;

export interface FunctionEndpointOptions {
  readonly runner: FunctionRunner;
  readonly functions: FunctionLookup;
  /** False: every request is answered as if there were no such route. */
  readonly open: boolean;
  /** Left out: requests are not verified. */
  readonly verify?: RequestVerifier;
  /** The address that schedulers know the application by; signatures are checked against it. Left out: the request's own. */
  readonly publicUrl?: URL;
  readonly maxBodyBytes: number;
  readonly log: { error(message: string): void };
  /** Told of every answer of a function. */
  readonly onRun?: (request: RunRequest, response: RunResponse) => void;
}

/** Serves `FunctionService`: from a universal HTTP request to a universal HTTP response. */
export class FunctionEndpoint {
  constructor(private readonly options: FunctionEndpointOptions) {}

  /** Never rejects. */
  async handle(request: EndpointRequest): Promise<EndpointResponse> {
    const answer = await this.run(request).catch((error: unknown) => this.refusal(error));
    if (!this.options.open) return answer;
    return { ...answer, headers: { ...answer.headers, [VALUES_HEADER]: OWN_VALUES } };
  }

  private async run(request: EndpointRequest): Promise<EndpointResponse> {
    const { open, maxBodyBytes } = this.options;
    if (!open || request.procedure !== RUN_PATH || request.method !== 'POST') {
      throw new ConnectError('not_found', 'there is no such path');
    }
    checkLength(header(request.headers, 'content-length'), maxBodyBytes);
    const timeout = readTimeout(header(request.headers, 'connect-timeout-ms'));
    return withinTime(timeout, request.signal, (signal) => this.exchange(request, signal));
  }

  private async exchange(request: EndpointRequest, signal: AbortSignal | undefined): Promise<EndpointResponse> {
    const { runner, functions, maxBodyBytes, onRun } = this.options;
    // Nothing is read, and so nothing kept, for a caller that has no right to be here.
    const verifyBody = this.verify(request);
    const attempt = readAttempt(header(request.headers, ATTEMPT_HEADER));
    const codec = codecOf(header(request.headers, 'content-type'), header(request.headers, 'content-encoding'));
    const body = await request.read(maxBodyBytes, signal);
    if (body.byteLength > maxBodyBytes) throw new ConnectError('invalid_argument', 'content length is too large');
    verifyBody(body);
    if (signal?.aborted) throw new ConnectError('deadline_exceeded', 'nobody waits for the answer any more');

    const run = decode(codec, body);
    if (run.function === '') throw new ConnectError('invalid_argument', 'function is required');
    if (functions.get(run.function) === undefined) {
      throw new ConnectError('not_found', `function '${run.function}' does not exist`);
    }
    if (run.directive.case === undefined) {
      throw new ConnectError('invalid_argument', 'input or poll_result is required');
    }
    const { response, body: answer } = encode(codec, run, (await runner.run(run, { signal, attempt })).response);
    onRun?.(run, response);
    return { status: 200, headers: { 'content-type': codec.contentType }, body: answer };
  }

  /** Checks all but the body; gives what is to be done with that. */
  private verify({ method, target, headers }: EndpointRequest): BodyVerifier {
    const { verify, publicUrl } = this.options;
    // HTTP/2 has no Host.
    const authority = header(headers, ':authority') ?? header(headers, 'host');
    if (verify === undefined) {
      // A page that a developer happens to look at reaches what the developer's machine does, without a content type too.
      if (isCrossOrigin(headers, authority))
        throw new ConnectError('permission_denied', 'pages of other origins cannot run functions');
      return () => undefined;
    }
    // A proxy may have changed the Host header and the path: the signer has seen the address it was told.
    const address =
      publicUrl === undefined ? { path: target, authority } : { url: methodUrl(publicUrl, RUN_PATH).href };
    const verifyBody = refusing(() => verify({ method, headers, ...address }));
    return (body) => refusing(() => verifyBody(body));
  }

  private refusal(error: unknown): EndpointResponse {
    const refused = error instanceof ConnectError ? error : new ConnectError('internal', 'internal error');
    if (refused !== error) {
      // The error's own text may quote what a function was called with.
      const kind = error instanceof Error ? error.name : typeof error;
      this.options.log.error(`A request to the endpoint failed with ${kind}; it was answered with HTTP status 500.`);
    }
    return { status: refused.httpStatus, headers: { 'content-type': JSON_TYPE }, body: refused.toBody() };
  }
}

/** Does a check of the signature; what it has to say is told to the caller. */
function refusing<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error;
    throw new ConnectError(error.httpStatus === 403 ? 'permission_denied' : 'unauthenticated', error.message);
  }
}

function header(headers: RequestHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.[0];
}

function checkLength(value: string | undefined, limit: number): void {
  const length = value !== undefined && /^\d+$/.test(value) ? Number(value) : 0;
  if (length === 0) throw new ConnectError('invalid_argument', 'content length is required');
  if (length > limit) throw new ConnectError('invalid_argument', 'content length is too large');
}

function decode(codec: Codec, body: Uint8Array): RunRequest {
  try {
    return codec.decode(body);
  } catch {
    throw new ConnectError('invalid_argument', 'the body is no RunRequest of the given content type');
  }
}

interface Encoded {
  readonly response: RunResponse;
  readonly body: Uint8Array;
}

/** The answer in the request's content type; what cannot be said in it, or not in one message, is the function's failure. */
function encode(codec: Codec, { function: name }: RunRequest, response: RunResponse): Encoded {
  let body: Uint8Array;
  try {
    body = codec.encode(response);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return refuseAnswer(codec, `${name} answered with what ${codec.contentType} cannot say: ${reason}`);
  }
  if (body.byteLength <= MAX_MESSAGE_BYTES) return { response, body };
  const [size, limit] = [body.byteLength, MAX_MESSAGE_BYTES].map((count) => count.toLocaleString('en-US'));
  return refuseAnswer(
    codec,
    `${name} answered with ${size} bytes, more than the ${limit} of a message: make fewer calls at a time, or store ` +
      'large values elsewhere and pass where they are',
  );
}

function refuseAnswer(codec: Codec, message: string): Encoded {
  const { response } = failure(Status.INVALID_RESPONSE, message);
  return { response, body: codec.encode(response) };
}
