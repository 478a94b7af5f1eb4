import {
  createConnectRouter,
  type ConnectRouter,
  type ConnectRouterOptions,
  type ContextValues,
} from '@connectrpc/connect';
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import type { SchedulerLog } from '../scheduler/index.js';
import type { RequestListener, ServerReply, ServerRequest } from './http.listener.js';

export interface RpcHandlerParts extends ConnectRouterOptions {
  readonly routes: (router: ConnectRouter) => void;
  /** What services are told of a request beside its message. */
  readonly contextValues: (request: ServerRequest) => ContextValues;
  /** Requests of other paths. */
  readonly fallback: (response: ServerReply) => void;
  readonly log: SchedulerLog;
}

/**
 * Serves services over Connect, gRPC-Web and gRPC: what `connectNodeAdapter` does, with a log instead of the console, and
 * without a word of clients that have gone away during a long poll.
 */
export function rpcHandler({ routes, contextValues, fallback, log, ...options }: RpcHandlerParts): RequestListener {
  const router = createConnectRouter({ acceptCompression: [compressionGzip, compressionBrotli], ...options });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const handler = handlers.get((request.url ?? '').split('?', 1)[0] ?? '');
    if (handler === undefined) return fallback(response);
    handler(universalRequestFromNodeRequest(request, response, undefined, contextValues(request)))
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch((error: unknown) => {
        if (response.destroyed) return;
        log.error(`A request of ${handler.requestPath} could not be answered: ${String(error)}`);
        response.destroy();
      });
  };
}
