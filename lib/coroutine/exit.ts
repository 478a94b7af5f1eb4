import { InvalidResponseError, isRetryable, Status, statusOf, statusOfOutput } from '../errors/index.js';
import { create, toBinary } from '@bufbuild/protobuf';
import { ErrorSchema, type Error as WireError } from '../gen/dispatch/sdk/v1/error_pb.js';
import { RunResponseSchema } from '../gen/dispatch/sdk/v1/function_pb.js';
import { MAX_MESSAGE_BYTES, type RunAnswer } from '../protocol/index.js';
import { pack, packError } from '../values/index.js';
import { exitWithError, exitWithOutput, exitWithTailCall, toCall } from './answers.js';
import type { CallSpec, DurableFunction } from './types.js';

/** More than what a message has around a result: tags, lengths, the name of its type. */
const MESSAGE_OVERHEAD = 4096;

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
    const answer = exitWithOutput(pack(outcome.value, 'result'), statusOfOutput(outcome.value));
    const size = sizeOf(answer);
    return size <= MAX_MESSAGE_BYTES ? answer : refuseOutput(tooLarge(fn.name, size), fn, attempt);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return refuseOutput(`${fn.name} returned what cannot be recorded: ${message}`, fn, attempt);
  }
}

function refuseOutput(message: string, fn: DurableFunction, attempt: number): RunAnswer {
  const refusal = new InvalidResponseError(message);
  return exitWithError(refusal.status, packError(refusal, { function: fn.name, attempt, status: refusal.status }));
}

/** Bytes of the answer as a message, from below where it is far from the limit: counting takes as long as writing. */
function sizeOf({ response }: RunAnswer): number {
  const output = response.directive.case === 'exit' ? response.directive.value.result?.output : undefined;
  const size = output?.value.byteLength ?? 0;
  return size < MAX_MESSAGE_BYTES - MESSAGE_OVERHEAD ? size : toBinary(RunResponseSchema, response).byteLength;
}

function tooLarge(name: string, size: number): string {
  const [actual, limit] = [size, MAX_MESSAGE_BYTES].map((count) => count.toLocaleString('en-US'));
  return `${name} returned ${actual} bytes, more than the ${limit} of a message: store it elsewhere and return where it is`;
}

function exitOfError(error: unknown, { fn, attempt, deliveredErrors, fallback }: ExitContext): RunAnswer {
  const sorted = statusOf(error, fallback);
  const isDelivered = wasDelivered(error, deliveredErrors);
  const status = isDelivered ? final(sorted) : sorted;
  const answer = exitWithError(status, fitting(packError(error, { function: fn.name, attempt, status })));
  return isDelivered ? { ...answer, final: true } : answer;
}

/** An error must arrive: what does not fit into a message is cut down to what names it. */
function fitting(error: WireError): WireError {
  const { type, message, traceback, value } = error;
  // A UTF-16 unit takes three bytes at most.
  const size = 3 * (type.length + message.length) + traceback.byteLength + value.byteLength;
  if (size < MAX_MESSAGE_BYTES - MESSAGE_OVERHEAD) return error;
  return create(ErrorSchema, { type: cut(type, 1000), message: cut(message, 100_000), traceback });
}

const cut = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length)}… (cut)` : text);

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
