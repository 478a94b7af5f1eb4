import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { failure } from '../endpoint/index.js';
import { InvalidArgumentError, isIncompatible, isRetryable, Status, statusOf } from '../errors/index.js';
import { RunResponseSchema, type RunRequest, type RunResponse } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { RunAnswer, RunContext } from '../protocol/index.js';
import type { CallOutcome } from '../scheduler/core/calls.js';
import { packError, unpack } from '../values/index.js';
import type { CallScheduler } from './embedded.backend.js';

/** After a restart nobody is told when the other call ends: so often it is looked at again. Milliseconds. */
const LOOK_AGAIN = 60_000;

/**
 * The scheduler's own function `wait`: it ends when another call ends, with its result. It takes no slot while it waits:
 * it suspends itself and is woken.
 */
export class DurableWait {
  /** Calls that are waited for in this process, with the waiting calls and how to wake them. */
  private readonly watched = new Map<string, Map<string, RunContext>>();

  constructor(private readonly scheduler: () => CallScheduler) {}

  async run(request: RunRequest, context: RunContext | undefined): Promise<RunAnswer> {
    if (request.function !== 'wait') return failure(Status.NOT_FOUND, `function '${request.function}' does not exist`);
    try {
      const id = awaitedId(request, context);
      if (id === undefined)
        return { ...failure(Status.INCOMPATIBLE_STATE, 'the state is missing'), stateMissing: true };
      const outcome = await this.look(id);
      if (outcome !== undefined) return { response: exit(outcome) };
      if (context !== undefined) this.watch(id, request.dispatchId, context);
      return { response: poll(id) };
    } catch (error) {
      // It is the other call's scheduler that knows better: nothing is gained by asking it again.
      const status = finalStatus(statusOf(error));
      return { response: create(RunResponseSchema, { status, directive: failed(packError(error, { status })) }) };
    }
  }

  private async look(id: string): Promise<CallOutcome | undefined> {
    const info = await this.scheduler().get(id);
    const finished = info === undefined || info.finishedAt !== undefined;
    // For an unknown id this is where the error comes from.
    return finished ? this.scheduler().wait(id) : undefined;
  }

  private watch(id: string, waiting: string, context: RunContext): void {
    const others = this.watched.get(id);
    if (others !== undefined) {
      others.set(waiting, context);
      return;
    }
    const contexts = new Map([[waiting, context]]);
    this.watched.set(id, contexts);
    const wake = (): void => {
      this.watched.delete(id);
      for (const one of contexts.values()) one.wake();
    };
    this.scheduler().wait(id).then(wake, wake);
  }
}

/** The id that the function was called with; its state is the same id. */
function awaitedId({ directive }: RunRequest, context: RunContext | undefined): string | undefined {
  const state = directive.case === 'pollResult' ? directive.value.state : undefined;
  if (state?.case === 'coroutineState' && state.value.length > 0) return new TextDecoder().decode(state.value);
  const input = directive.case === 'input' ? directive.value : context?.input;
  if (input === undefined) return undefined;
  const id = unpack(input);
  if (typeof id === 'string') return id;
  throw new InvalidArgumentError('wait() needs the id of a call, which is a string.');
}

function exit({ status, result }: CallOutcome): RunResponse {
  const { output, error } = result;
  return create(RunResponseSchema, {
    status: finalStatus(status),
    directive: { case: 'exit', value: { result: { output, error } } },
  });
}

const failed = (error: ReturnType<typeof packError>) => ({ case: 'exit' as const, value: { result: { error } } });

/** The other call's failure is final, whatever it was: this one must not be made again because of it. */
function finalStatus(status: Status): Status {
  return isRetryable(status) || isIncompatible(status) ? Status.PERMANENT_ERROR : status;
}

function poll(id: string): RunResponse {
  return create(RunResponseSchema, {
    status: Status.OK,
    directive: {
      case: 'poll',
      value: {
        state: { case: 'coroutineState', value: new TextEncoder().encode(id) },
        maxWait: durationFromMs(LOOK_AGAIN),
        minResults: 1,
        maxResults: 1,
      },
    },
  });
}
