import { create } from '@bufbuild/protobuf';
import type { ConnectRouter } from '@connectrpc/connect';
import { InvalidArgumentError } from '../errors/index.js';
import { RunResponseSchema } from '../gen/dispatch/sdk/v1/function_pb.js';
import { BridgeService } from '../gen/nestjs_dispatch/v1/bridge_pb.js';
import type { Bridge } from './bridge.js';
import { LongPoll, pollTime } from './long.poll.js';
import { callerOf } from './services.js';

const MOST_RUNS = 100;

/** What applications without an address talk to. */
export function bridgeRoutes(bridge: Bridge, closing: AbortSignal): (router: ConnectRouter) => void {
  return (router) =>
    router.service(BridgeService, {
      poll: async ({ name, limit, timeout, session }, context) => {
        if (name === '' || session === '') throw new InvalidArgumentError('a poll names its bridge and its session');
        const poll = new LongPoll(context.signal, closing);
        try {
          const runs = await bridge.poll(callerOf(context), {
            name,
            session,
            limit: Math.min(Math.max(1, limit), MOST_RUNS),
            timeout: pollTime(timeout),
            signal: poll.signal,
          });
          return { runs: runs.map(({ id, request, attempt }) => ({ runId: id, request, attempt })) };
        } finally {
          poll.end();
        }
      },
      answer: ({ runId, response }, context) => {
        bridge.answer(callerOf(context), runId, response ?? create(RunResponseSchema));
        return {};
      },
    });
}
