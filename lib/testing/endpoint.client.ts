import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import type { INestApplication } from '@nestjs/common';
import { errorClassOfStatus, methodUrl, PROTO_TYPE, readErrorMessage, RUN_PATH } from '../endpoint/index.js';
import { DispatchError, Status, statusOf, statusOfHttp } from '../errors/index.js';
import { RunRequestSchema, RunResponseSchema, type RunResponse } from '../gen/dispatch/sdk/v1/function_pb.js';
import { parsePrivateKey, signRequest, type PrivateKey } from '../signature/index.js';
import { AppHttpClient } from './app.http-client.js';
import { NodeHttpClient, type HttpClient, type HttpClientResponse } from './http-client.js';

export interface EndpointClientOptions {
  /**
   * The Ed25519 private key that requests are signed with: PEM (PKCS #8), base64 of its 32 raw bytes, or a parsed one.
   * Default: requests are not signed.
   */
  readonly signingKey?: string | PrivateKey;
  /** The time that signatures carry, in milliseconds since 1970. Default: the machine's; with `fromApp` the application's. */
  readonly now?: () => number;
}

export interface FromAppOptions extends EndpointClientOptions {
  /** The address that requests seem to go to. Default: the application's `endpointUrl`, else `http://localhost`. */
  readonly url?: string;
}

/**
 * Calls the endpoint of an application, as a scheduler does: one request of `FunctionService.Run` at a time.
 *
 * ```ts
 * const client = EndpointClient.fromApp(app, { signingKey: keys.privateKey });
 * const response = await client.run({ function: 'Maths.double', directive: { case: 'input', value: pack(21) } });
 * ```
 */
export class EndpointClient {
  private readonly key: PrivateKey | undefined;
  private readonly now: () => number;

  /**
   * @param http carries requests to the endpoint's address
   * @throws ConfigurationError when the signing key is no Ed25519 private key
   */
  constructor(
    private readonly http: HttpClient,
    { signingKey, now = Date.now }: EndpointClientOptions = {},
  ) {
    this.key = typeof signingKey === 'string' ? parsePrivateKey(signingKey, 'the option signingKey') : signingKey;
    this.now = now;
  }

  /**
   * A client of an endpoint on the network.
   *
   * @param url the application's address, a global prefix included: `http://localhost:3000/api`
   * @throws ConfigurationError when the signing key is no Ed25519 private key
   * @throws TypeError when the address is no URL
   */
  static fromUrl(url: string, options?: EndpointClientOptions): EndpointClient {
    return new EndpointClient(new NodeHttpClient(url), options);
  }

  /**
   * A client of a Nest application in this process, on Express or Fastify. No port is needed: requests go through the
   * application's HTTP server in memory. It is initialized with the first request, if it is not yet.
   *
   * @throws ConfigurationError when the signing key is no Ed25519 private key
   */
  static fromApp(app: INestApplication, options: FromAppOptions = {}): EndpointClient {
    const http = new AppHttpClient(app, options.url);
    return new EndpointClient(http, { now: () => http.now(), ...options });
  }

  /**
   * Runs a function, or resumes one, and resolves with what it answered, whatever its status.
   *
   * @param request a `RunRequest`, or its fields
   * @throws InvalidArgumentError for HTTP 400: the request is malformed
   * @throws UnauthenticatedError for HTTP 401: the signature is missing or malformed
   * @throws PermissionDeniedError for HTTP 403: the signature is wrong
   * @throws NotFoundError for HTTP 404: there is no such function, or the endpoint is closed
   * @throws InvalidResponseError when the answer is no RunResponse
   * @throws DispatchError of the class that PROTOCOL's table has for any other answer or failed connection: `TCPError`,
   * `DNSError`, `TLSError`, `TimeoutError`, `ThrottleError`, `TemporaryError`, `PermanentError`, `HTTPError`
   */
  async run(request: MessageInitShape<typeof RunRequestSchema>): Promise<RunResponse> {
    const body = toBinary(RunRequestSchema, create(RunRequestSchema, request));
    const url = methodUrl(new URL(this.http.url), RUN_PATH);
    const response = await this.post(url, body);
    if (response.status !== 200) throw refusal(url, response);
    try {
      return fromBinary(RunResponseSchema, response.body);
    } catch (cause) {
      throw errorOf(Status.INVALID_RESPONSE, `${url.origin} answered with a body that is no RunResponse`, cause);
    }
  }

  private async post(url: URL, body: Uint8Array): Promise<HttpClientResponse> {
    const headers = { 'content-type': PROTO_TYPE, accept: PROTO_TYPE };
    const created = Math.floor(this.now() / 1000);
    const request = { method: 'POST' as const, url: url.href, headers, body };
    const signature = this.key === undefined ? {} : signRequest(request, this.key, { created });
    try {
      return await this.http.send({ ...request, headers: { ...headers, ...signature } });
    } catch (error) {
      if (error instanceof DispatchError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw errorOf(statusOf(error, Status.HTTP_ERROR), `${url.origin} could not be called: ${message}`, error);
    }
  }
}

function refusal(url: URL, { status, body }: HttpClientResponse): DispatchError {
  const detail = readErrorMessage(body);
  const message = `${url.origin} answered with HTTP status ${status}${detail === undefined ? '' : `: ${detail}`}`;
  return errorOf(status >= 200 && status < 300 ? Status.INVALID_RESPONSE : statusOfHttp(status), message);
}

function errorOf(status: Status, message: string, cause?: unknown): DispatchError {
  return new (errorClassOfStatus(status))(message, cause === undefined ? {} : { cause });
}
