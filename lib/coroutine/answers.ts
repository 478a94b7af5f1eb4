import { durationFromMs, type Any } from '@bufbuild/protobuf/wkt';
import type { Call } from '../gen/dispatch/sdk/v1/call_pb.js';
import type { Error as WireError } from '../gen/dispatch/sdk/v1/error_pb.js';
import type { RunResponse } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { Poll } from '../gen/dispatch/sdk/v1/poll_pb.js';
import { packError } from '../values/index.js';
import { Status } from '../errors/index.js';
import {
  callResult,
  exitMessage,
  pollMessage,
  runResponse,
  type JournalPosition,
  type RunAnswer,
} from '../protocol/index.js';
import type { CallSpec } from './types.js';

/** The most results that one resume may carry (PROTOCOL: 1 to 1000). */
export const MAX_RESULTS = 1000;

export function exitWithOutput(output: Any, status: Status): RunAnswer {
  return exit(status, output, undefined);
}

export function exitWithError(status: Status, error: WireError): RunAnswer {
  return exit(status, undefined, error);
}

/** An exit for an error of the runtime's own, or of the request. */
export function refuse(error: unknown, status: Status): RunAnswer {
  return exitWithError(status, packError(error, { status }));
}

function exit(status: Status, output: Any | undefined, error: WireError | undefined): RunAnswer {
  const value = exitMessage(callResult('', 0n, output, error), undefined);
  return answer(runResponse(status, { case: 'exit', value }), undefined);
}

export function exitWithTailCall(call: Call): RunAnswer {
  return answer(runResponse(Status.OK, { case: 'exit', value: exitMessage(undefined, call) }), undefined);
}

const answer = (response: RunResponse, appended: JournalPosition | undefined): RunAnswer => ({ response, appended });

export interface PollParts {
  readonly state: Poll['state'];
  readonly appended: JournalPosition | undefined;
  readonly calls: Call[];
  /** Milliseconds; undefined: no limit. */
  readonly maxWait: number | undefined;
  readonly minResults: number;
}

export function poll({ state, appended, calls, maxWait, minResults }: PollParts): RunAnswer {
  const wait = maxWait === undefined ? undefined : durationFromMs(maxWait);
  const value = pollMessage(state, calls, wait, Math.min(minResults, MAX_RESULTS), MAX_RESULTS);
  return answer(runResponse(Status.OK, { case: 'poll', value }), appended);
}

export function toCall(spec: CallSpec, correlationId: bigint, ownEndpoint: string): Call {
  return {
    $typeName: 'dispatch.sdk.v1.Call',
    correlationId,
    endpoint: spec.endpoint === undefined || spec.endpoint === '' ? ownEndpoint : spec.endpoint,
    function: spec.function,
    input: spec.input,
    expiration: spec.expiration === undefined ? undefined : durationFromMs(spec.expiration),
    version: spec.version ?? '',
  };
}
