import { Code, ConnectError, createContextValues, type Interceptor } from '@connectrpc/connect';
import { HttpTransport, isCrossOrigin, JSON_TYPE, signerOf } from '../endpoint/index.js';
import { ConfigurationError } from '../errors/index.js';
import { MAX_MESSAGE_BYTES, SystemClock } from '../protocol/index.js';
import { createStore, Scheduler, secureRandom, StoreError, type Store } from '../scheduler/index.js';
import { messageTypes } from '../values/index.js';
import { ApiKeys, type Caller } from './api.keys.js';
import { Bridge } from './bridge.js';
import { bridgeRoutes } from './bridge.service.js';
import { CallIntake } from './call.intake.js';
import { EndpointPolicy } from './endpoint.policy.js';
import { HttpListener, type RequestListener, type ServerReply, type ServerRequest } from './http.listener.js';
import { meteredStore } from './metered.store.js';
import { SchedulerMetrics } from './scheduler.metrics.js';
import { rpcHandler } from './rpc.handler.js';
import { explainErrors } from './service.errors.js';
import { CALLER, callRoutes } from './services.js';
import type { StandaloneOptions } from './standalone.options.js';
import { StandaloneTransport } from './standalone.transport.js';

const DEFAULT_PORT = 8080;
const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_GRACE = 10_000;
const LOOPBACK = /^(localhost|127\..*|::1)$/;

/**
 * A scheduler in a process of its own, for applications in any language that speaks the Dispatch protocol: it takes their
 * calls over HTTP, and runs them by calling their endpoints.
 *
 * ```ts
 * const scheduler = new StandaloneScheduler({ store: './dispatch.db', apiKeys: [process.env.API_KEY], signingKey });
 * await scheduler.start(); // scheduler.url is what DISPATCH_API_URL is to be
 * process.once('SIGTERM', () => void scheduler.stop());
 * ```
 */
export class StandaloneScheduler {
  /** What tells how it does, beside `/metrics`. */
  private readonly metrics: SchedulerMetrics;
  private readonly scheduler: Scheduler;
  private readonly http: HttpTransport;
  private readonly keys: ApiKeys;
  private readonly listener: HttpListener;
  private readonly callers = new WeakMap<object, Caller>();
  private readonly closing = new AbortController();
  private readonly serveRpc: RequestListener;
  private port: number | undefined;
  private ready = false;

  /** @throws ConfigurationError when an option is wrong; the message says which and what to do */
  constructor(private readonly options: StandaloneOptions) {
    const { log, concurrency, retention, runTimeout, cancelGrace, retry, signingKey, dev } = options;
    this.keys = new ApiKeys(options.apiKeys ?? []);
    this.refuseOpenDoor();
    const clock = new SystemClock();
    const policy = new EndpointPolicy({ allow: options.allowEndpoints, dev });
    const sign =
      signingKey === undefined
        ? undefined
        : signerOf({ value: signingKey, source: 'the option signingKey (--signing-key)' }, clock);
    this.metrics = new SchedulerMetrics(() => this.scheduler.census());
    this.http = new HttpTransport({ sign, guard: policy });
    const bridge = new Bridge();
    const transport = new StandaloneTransport(this.http, bridge, this.metrics);
    const store = meteredStore(storeOf(options.store), this.metrics, options.observer);
    this.scheduler = new Scheduler(
      { store, transport, clock, random: secureRandom(), log },
      { concurrency, retention, runTimeout, cancelGrace, retry },
    );
    const { signal: closing } = this.closing;
    const calls = callRoutes({
      scheduler: this.scheduler,
      intake: new CallIntake(this.scheduler, policy),
      closing,
    });
    const bridges = bridgeRoutes(bridge, closing);
    this.serveRpc = rpcHandler({
      log,
      routes: (router) => {
        calls(router);
        bridges(router);
      },
      contextValues: (request) => createContextValues().set(CALLER, this.callers.get(request) ?? CALLER.defaultValue),
      interceptors: [this.countRequests(), explainErrors(log)],
      readMaxBytes: MAX_MESSAGE_BYTES,
      jsonOptions: { registry: messageTypes, ignoreUnknownFields: true },
      fallback: (response) => refuse(response, 404, 'not_found', 'there is no such path'),
    });
    this.listener = new HttpListener((request, response) => this.serve(request, response), options.tls);
  }

  /**
   * The address that clients send their calls to: `http://127.0.0.1:8080`.
   *
   * @throws ConfigurationError while it is not started
   */
  get url(): string {
    if (this.port === undefined) throw new ConfigurationError('The scheduler has no address yet: await start() first.');
    const { host = DEFAULT_HOST, tls } = this.options;
    const name = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
    return `${tls === undefined ? 'http' : 'https'}://${name.includes(':') ? `[${name}]` : name}:${this.port}`;
  }

  /**
   * Listens, opens the store and takes up the work that is in it.
   *
   * @throws StoreError when the store cannot be opened or read
   * @throws Error of Node when it cannot listen: `EADDRINUSE`, `EACCES`
   */
  async start(): Promise<void> {
    const { port = DEFAULT_PORT, host = DEFAULT_HOST } = this.options;
    this.port = await this.listener.listen(port, host);
    try {
      await this.scheduler.start();
    } catch (error) {
      await this.listener.close();
      throw error;
    }
    this.ready = true;
  }

  /**
   * Takes no more calls, waits for the runs in flight, closes the store and then the server. What is not done is taken up
   * by the next start.
   *
   * @param grace how long runs may go on, in milliseconds. Default: the option `shutdownGrace`.
   */
  async stop(grace = this.options.shutdownGrace ?? DEFAULT_GRACE): Promise<void> {
    this.ready = false;
    this.closing.abort();
    await this.scheduler.stop({ grace });
    await this.listener.close();
    this.http.close();
  }

  private serve(request: ServerRequest, response: ServerReply): void {
    switch ((request.url ?? '').split('?', 1)[0] ?? '') {
      case '/healthz':
        return reply(response, 200, 'text/plain', 'ok\n');
      case '/readyz':
        return this.isReady()
          ? reply(response, 200, 'text/plain', 'ok\n')
          : reply(response, 503, 'text/plain', 'not ready\n');
      case '/metrics':
        return void this.serveMetrics(response);
    }
    const caller = this.keys.authenticate(request.headers.authorization);
    // Before anything of the body is read.
    if (caller === undefined) return refuse(response, 401, 'unauthenticated', 'the API key is missing or wrong');
    if (this.keys.isOpen && !this.isFromHere(request)) {
      return refuse(response, 403, 'permission_denied', 'without API keys, only programs on this machine are served');
    }
    this.callers.set(request, caller);
    this.serveRpc(request, response);
  }

  private async serveMetrics(response: ServerReply): Promise<void> {
    try {
      const { type, text } = await this.metrics.expose();
      reply(response, 200, type, text);
    } catch (error) {
      this.options.log.error(`The metrics could not be collected: ${String(error)}`);
      refuse(response, 500, 'internal', 'internal error');
    }
  }

  /** A page in a browser on this machine is not: it comes from elsewhere, maybe under a name that leads here. */
  private isFromHere({ headers }: ServerRequest): boolean {
    const authority = headers[':authority'] ?? headers.host;
    const isKnown = typeof authority === 'string' && URL.canParse(`http://${authority}`);
    const name = isKnown ? new URL(`http://${authority}`).hostname.replace(/^\[|\]$/g, '') : '';
    return LOOPBACK.test(name) && !isCrossOrigin(headers, isKnown ? authority : undefined);
  }

  private isReady(): boolean {
    return this.ready && !this.scheduler.census().storeFails;
  }

  private countRequests(): Interceptor {
    return (next) => async (request) => {
      const method = `${request.service.typeName}/${request.method.name}`;
      try {
        const answer = await next(request);
        this.metrics.served(method, 'ok');
        return answer;
      } catch (error) {
        this.metrics.served(method, codeName(ConnectError.from(error).code));
        throw error;
      }
    };
  }

  private refuseOpenDoor(): void {
    const { host = DEFAULT_HOST } = this.options;
    if (!this.keys.isOpen || LOOPBACK.test(host)) return;
    throw new ConfigurationError(
      `The scheduler would listen on ${host} and take calls from everyone who reaches it: set an API key, or listen on 127.0.0.1.`,
    );
  }
}

function storeOf(store: string | Store): Store {
  if (typeof store !== 'string') return store;
  try {
    return createStore(store);
  } catch (error) {
    throw error instanceof StoreError ? new ConfigurationError(error.message, { cause: error }) : error;
  }
}

/** `invalid_argument`, as the protocol spells it. */
function codeName(code: Code): string {
  return Code[code].replace(/(?<=[a-z])[A-Z]/g, '_$&').toLowerCase();
}

function refuse(response: Reply, status: number, code: string, message: string): void {
  reply(response, status, JSON_TYPE, JSON.stringify({ code, message }));
}

/** What answers of HTTP/1.1 and HTTP/2 have in common. */
interface Reply {
  writeHead(status: number, headers: Record<string, string>): unknown;
  end(text: string): unknown;
}

function reply(response: Reply, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': String(Buffer.byteLength(text)) });
  response.end(text);
}
