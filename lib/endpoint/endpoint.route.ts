import { FUNCTION_SERVICE_PATH } from './connect.js';
import type { ServerRequest } from './request.body.js';

/** A request to the endpoint, by its path. */
export interface EndpointRoute {
  /** The whole path as the client sent it, with the query if there is one: signatures are of it. */
  readonly target: string;
  /** The method of the service: the path below the application's global prefix. */
  readonly procedure: string;
}

/** Whether the route is below that path (`''`, `/api`). */
export type IsBasePath = (path: string) => boolean;

/** Undefined for a request to something else. */
export function routeOf(request: ServerRequest, isBasePath: IsBasePath): EndpointRoute | undefined {
  const { url = '' } = request;
  const path = url.split('?', 1)[0] ?? '';
  const start = path.indexOf(FUNCTION_SERVICE_PATH);
  if (request.method !== 'POST' || start === -1 || !isBasePath(path.slice(0, start))) return undefined;
  // An Express application that is mounted in another one sees the path below it, but the signer has not.
  return { target: request.originalUrl ?? url, procedure: path.slice(start) };
}
