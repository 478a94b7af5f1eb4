import { request as httpRequest, Server as HttpServer } from 'node:http';
import { Server as HttpsServer } from 'node:https';
import { duplexPair, type Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { INestApplication } from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
import { DISPATCH_CLOCK, DISPATCH_SETTINGS } from '../dispatch.constants.js';
import type { Settings } from '../dispatch.settings.js';
import { isBelowPrefix, methodUrl, RUN_PATH } from '../endpoint/index.js';
import { ConfigurationError } from '../errors/index.js';
import type { Clock } from '../protocol/index.js';
import type { HttpClient, HttpClientRequest, HttpClientResponse } from './http-client.js';

/**
 * Carries requests to a Nest application in this process. Each goes over a connection in memory, which the HTTP server
 * is handed as if it had accepted it: its parser, the middleware and the framework are those of real requests.
 */
export class AppHttpClient implements HttpClient {
  private initialized: Promise<unknown> | undefined;

  constructor(
    private readonly app: INestApplication,
    private readonly address: string | undefined,
  ) {}

  get url(): string {
    if (this.address !== undefined) return this.address;
    const { endpointUrl } = this.find<Settings>(DISPATCH_SETTINGS);
    return endpointUrl?.value.href ?? `http://localhost${this.prefix}`;
  }

  /** The application's time, in milliseconds since 1970. */
  now(): number {
    return this.find<Clock>(DISPATCH_CLOCK).now();
  }

  async send({ method, url, headers, body }: HttpClientRequest): Promise<HttpClientResponse> {
    await (this.initialized ??= this.initialize());
    const [near, far] = duplexPair();
    this.accept(far);
    // What a proxy in front of the application does: the path that is known outside is not always the one in here.
    const path = methodUrl(new URL(`http://localhost${this.prefix}`), RUN_PATH).pathname;
    try {
      return await new Promise<HttpClientResponse>((resolve, reject) => {
        const sent = httpRequest({
          createConnection: () => near,
          method,
          path,
          headers: {
            ...headers,
            host: new URL(url).host,
            'content-length': String(body.byteLength),
            connection: 'close',
          },
        });
        sent.on('error', reject);
        sent.on('response', (response) => {
          buffer(response).then((bytes) => resolve({ status: response.statusCode ?? 0, body: bytes }), reject);
        });
        sent.end(body);
      });
    } finally {
      near.destroy();
      far.destroy();
    }
  }

  /** Hands the application's server a connection, as one whose handshake is over where the server has one. */
  private accept(connection: Duplex): void {
    const server: unknown = this.app.getHttpServer();
    if (server instanceof HttpsServer) server.emit('secureConnection', connection);
    else if (server instanceof HttpServer) server.emit('connection', connection);
    else {
      throw new ConfigurationError(
        'EndpointClient.fromApp() speaks HTTP/1.1, and the application has another server: create it without http2.',
      );
    }
  }

  private async initialize(): Promise<void> {
    await this.app.init();
    // Fastify's routes are there once it is ready.
    const instance: unknown = this.app.getHttpAdapter().getInstance();
    if (typeof instance === 'object' && instance !== null && 'ready' in instance) {
      if (typeof instance.ready === 'function') await (instance as { ready(): Promise<unknown> }).ready();
    }
  }

  /** The global prefix as a path: `''`, `/api`. */
  private get prefix(): string {
    const config = this.find<ApplicationConfig>(ApplicationConfig);
    return isBelowPrefix(config, '') ? '' : `/${config.getGlobalPrefix().replace(/^\/+|\/+$/g, '')}`;
  }

  private find<T>(token: Parameters<INestApplication['get']>[0]): T {
    try {
      return this.app.get<unknown, T>(token, { strict: false });
    } catch (cause) {
      throw new ConfigurationError(
        'The application has no endpoint: import DispatchModule.forRoot() (or forRootAsync()) in its root module.',
        { cause },
      );
    }
  }
}
