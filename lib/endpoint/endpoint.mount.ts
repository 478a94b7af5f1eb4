import { Server } from 'node:net';
import { RequestMethod, type OnApplicationBootstrap } from '@nestjs/common';
import type { ApplicationConfig, HttpAdapterHost } from '@nestjs/core';
import type { BlockedRequests } from './blocked.requests.js';
import { RUN_PATH } from './connect.js';
import type { EndpointMiddleware } from './endpoint.middleware.js';

/**
 * Puts the endpoint in front of everything else of the HTTP server: before body parsers, which would consume the raw
 * body, and apart from the application's guards, interceptors and filters, which are not meant for a scheduler.
 */
export class EndpointMount implements OnApplicationBootstrap {
  /**
   * The adapter is there when modules are created by `NestFactory.create()`, comes later in tests
   * (`moduleRef.createNestApplication()`), and never in an application without HTTP.
   *
   * @param blocked left out: nobody looks for requests that are refused in front of the endpoint
   */
  constructor(
    private readonly host: HttpAdapterHost,
    middleware: EndpointMiddleware,
    private readonly blocked: BlockedRequests | undefined,
  ) {
    // Announced once, to late subscribers too.
    host.init$.subscribe(() => {
      this.adapter?.use(middleware);
    });
  }

  /** Only now there is a server. */
  onApplicationBootstrap(): void {
    const server: unknown = this.adapter?.getHttpServer();
    if (server instanceof Server) this.blocked?.watch(server);
  }

  private get adapter(): HttpAdapterHost['httpAdapter'] | undefined {
    return this.host.httpAdapter as HttpAdapterHost['httpAdapter'] | undefined;
  }
}

/** Whether the route is below that path: the application's global prefix, or nothing where the prefix excludes the route. */
export function isBelowPrefix(config: ApplicationConfig, path: string): boolean {
  const prefix = config.getGlobalPrefix();
  const segments = split(path);
  const expected = isExcluded(config) ? [] : split(prefix);
  return (
    segments.length === expected.length &&
    expected.every((segment, index) => segment.startsWith(':') || segment === segments[index])
  );
}

function isExcluded(config: ApplicationConfig): boolean {
  return (config.getGlobalPrefixOptions().exclude ?? []).some(
    ({ pathRegex, requestMethod }) =>
      (requestMethod === RequestMethod.ALL || requestMethod === RequestMethod.POST) && pathRegex.test(RUN_PATH),
  );
}

const split = (path: string): string[] => path.split('/').filter((segment) => segment !== '');
