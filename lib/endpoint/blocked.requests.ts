import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server } from 'node:net';
import { routeOf, type IsBasePath } from './endpoint.route.js';
import { isCrossOrigin } from './browser.js';

/**
 * Notices requests to the endpoint that something in front of it has refused, such as a login of an Express instance that
 * is older than the application, and says so once: what a scheduler sees of it is only a status.
 */
export class BlockedRequests {
  private readonly reached = new WeakSet<IncomingMessage>();

  constructor(
    private readonly isBasePath: IsBasePath,
    private readonly log: { warn(message: string): void },
  ) {}

  /** The request has come to the endpoint, whatever becomes of it there. */
  reach(request: IncomingMessage): void {
    this.reached.add(request);
  }

  /** Looks at the requests of an HTTP server before anything else does, until one was blocked. */
  watch(server: Server): void {
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
      const route = routeOf(request, this.isBasePath);
      // A page of a browser is no scheduler, and refused rightly.
      if (route === undefined || isCrossOrigin(request.headers, request.headers.host)) return;
      response.once('finish', () => {
        const { statusCode: status } = response;
        // Other statuses are no decision about the caller: a process that shuts down answers with 503.
        if (this.reached.has(request) || status < 300 || status >= 500) return;
        if (!server.listeners('request').includes(onRequest)) return;
        server.off('request', onRequest);
        this.log.warn(blocked(route.target.split('?', 1)[0] ?? '', status));
      });
    };
    server.prependListener('request', onRequest);
  }
}

const blocked = (path: string, status: number): string =>
  `A request to the endpoint, POST ${path}, was answered with HTTP status ${status} by something in front of it, and its ` +
  `function was not run. Let POST requests of that path through there: in the middleware or hooks of the Express or ` +
  `Fastify instance that was given to NestFactory.create(), or of a module that adds them to the HTTP adapter itself. ` +
  `The endpoint checks the scheduler's signature (DISPATCH_VERIFICATION_KEY); guards do not apply to it. Further ` +
  `requests of this kind are not logged.`;
