import { InvalidResponseError, isRetryable, Status, statusOf, statusOfOutput } from '../errors/index.js';
import type { RunAnswer } from '../protocol/index.js';
import { pack, packError } from '../values/index.js';
import { exitWithError, exitWithOutput, exitWithTailCall, toCall } from './answers.js';
import type { CallSpec, DurableFunction } from './types.js';

/** How a method ended. */
export type Outcome =
  | { readonly value: unknown; readonly error?: undefined; readonly tailCall?: undefined }
  | { readonly error: unknown; readonly tailCall?: undefined }
  | { readonly tailCall: CallSpec; readonly error?: undefined };

interface ExitContext {
  readonly fn: DurableFunction;
  readonly attempt: number;
  /** Errors that came to the function as durable results. */
  readonly deliveredErrors: WeakSet<object>;
  readonly ownEndpoint: string;
  readonly fallback: Status;
}

/** The answer for a method that ended. */
export function exitOf(outcome: Outcome, context: ExitContext): RunAnswer {
  if (outcome.tailCall !== undefined) return exitWithTailCall(toCall(outcome.tailCall, 0n, context.ownEndpoint));
  if ('error' in outcome) return exitOfError(outcome.error, context);
  const { fn, attempt } = context;
  try {
    return exitWithOutput(pack(outcome.value, 'result'), statusOfOutput(outcome.value));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const refusal = new InvalidResponseError(`${fn.name} returned what cannot be recorded: ${message}`);
    return exitWithError(
      Status.INVALID_RESPONSE,
      packError(refusal, { function: fn.name, attempt, status: refusal.status }),
    );
  }
}

function exitOfError(error: unknown, { fn, attempt, deliveredErrors, fallback }: ExitContext): RunAnswer {
  const sorted = statusOf(error, fallback);
  const status = wasDelivered(error, deliveredErrors) ? final(sorted) : sorted;
  return exitWithError(status, packError(error, { function: fn.name, attempt, status }));
}

/** The error is a durable result of the function, or all that `any` had to say about several of them. */
function wasDelivered(error: unknown, delivered: WeakSet<object>): boolean {
  if (typeof error !== 'object' || error === null) return false;
  if (delivered.has(error)) return true;
  return (
    error instanceof AggregateError &&
    error.errors.length > 0 &&
    error.errors.every((one) => wasDelivered(one, delivered))
  );
}

const final = (status: Status): Status =>
  isRetryable(status) || status === Status.INCOMPATIBLE_STATE || status === Status.OK ? Status.PERMANENT_ERROR : status;
