import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { createContextKey, type ConnectRouter, type HandlerContext } from '@connectrpc/connect';
import { InvalidArgumentError, NotFoundError, TimeoutError } from '../errors/index.js';
import { CallSchema } from '../gen/dispatch/sdk/v1/call_pb.js';
import { DispatchService } from '../gen/dispatch/sdk/v1/dispatch_pb.js';
import { CallService, type NewCall, type WaitCallResponseSchema } from '../gen/nestjs_dispatch/v1/calls_pb.js';
import { readFilter, writeCallInfo, writeState } from '../remote/index.js';
import type { Scheduler } from '../scheduler/index.js';
import type { Caller } from './api.keys.js';
import type { CallIntake, SentCall } from './call.intake.js';
import { LongPoll, pollTime } from './long.poll.js';
import { VisibleCalls } from './visible.calls.js';

/** Who sends the request: set before a service sees it. */
export const CALLER = createContextKey<Caller>({ name: '', namespace: '' }, { description: 'the caller' });

const PAGE = 100;
const LONGEST_PAGE = 1_000;

export interface ServiceParts {
  readonly scheduler: Scheduler;
  readonly intake: CallIntake;
  /** Ends long polls: the server is about to close. */
  readonly closing: AbortSignal;
}

/** What the scheduler serves: `DispatchService` of the protocol, and `CallService` of this package. */
export function callRoutes({ scheduler, intake, closing }: ServiceParts): (router: ConnectRouter) => void {
  const callsOf = (context: HandlerContext) => new VisibleCalls(scheduler, callerOf(context));
  return (router) => {
    router.service(DispatchService, {
      dispatch: async ({ calls }, context) => ({
        dispatchIds: await intake.dispatch(
          callerOf(context),
          calls.map((call) => ({ call })),
        ),
      }),
    });
    router.service(CallService, {
      dispatch: async ({ calls }, context) => ({
        dispatchIds: await intake.dispatch(callerOf(context), calls.map(sentCall)),
      }),
      get: async ({ dispatchId }, context) => {
        const info = await callsOf(context).get(dispatchId);
        return { call: info && writeCallInfo(info) };
      },
      list: async (request, context) => {
        const limit = Math.min(request.limit || PAGE, LONGEST_PAGE);
        const after = request.after === '' ? undefined : request.after;
        const { calls, next } = await callsOf(context).list(readFilter(request), { limit, after });
        return { calls: calls.map(writeCallInfo), next: next ?? '' };
      },
      wait: async ({ dispatchId, timeout }, context): Promise<MessageInitShape<typeof WaitCallResponseSchema>> => {
        const poll = new LongPoll(context.signal, closing);
        try {
          const options = { timeout: pollTime(timeout), signal: poll.signal };
          const { state, status, result } = await callsOf(context).wait(dispatchId, options);
          return { answer: { case: 'outcome', value: { state: writeState(state), status, result } } };
        } catch (error) {
          if (error instanceof NotFoundError) return { answer: { case: 'unknown', value: {} } };
          if (error instanceof TimeoutError || poll.signal.aborted)
            return { answer: { case: 'unfinished', value: {} } };
          throw error;
        } finally {
          poll.end();
        }
      },
      cancel: async ({ dispatchId }, context) => {
        const cancelled = await unlessUnknown(callsOf(context).cancel(dispatchId));
        if (cancelled === undefined) return { answer: { case: 'unknown', value: {} } };
        return { answer: { case: cancelled ? 'cancelled' : 'finished', value: {} } };
      },
      retry: async ({ dispatchId }, context) => {
        const retried = await unlessUnknown(
          callsOf(context)
            .retry(dispatchId)
            .then(() => true),
        );
        return { answer: { case: retried === undefined ? 'unknown' : 'retried', value: {} } };
      },
    });
  };
}

export function callerOf(context: HandlerContext): Caller {
  return context.values.get(CALLER);
}

function sentCall({ call = create(CallSchema), dueAt, idempotencyKey, stepKey, priority, key }: NewCall): SentCall {
  if (idempotencyKey !== '' && stepKey !== '') {
    throw new InvalidArgumentError(`the call of ${call.function} has both an idempotency_key and a step_key: give one`);
  }
  return {
    call,
    dueAt,
    idempotencyKey: idempotencyKey || undefined,
    stepKey: stepKey || undefined,
    priority,
    key: key || undefined,
  };
}

async function unlessUnknown<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}
