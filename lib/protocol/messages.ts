import type { Any, Duration, Timestamp } from '@bufbuild/protobuf/wkt';
import type { CallResult } from '../gen/dispatch/sdk/v1/call_pb.js';
import type { Error as WireError } from '../gen/dispatch/sdk/v1/error_pb.js';
import type { Exit } from '../gen/dispatch/sdk/v1/exit_pb.js';
import type { RunRequest, RunResponse } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { Poll, PollResult } from '../gen/dispatch/sdk/v1/poll_pb.js';

/**
 * The messages that every run is made of, written out. A message of protobuf-es is a plain object with its type's name;
 * `create` makes the same by a walk through the type's description, ten times as slowly, and a call is a dozen of them.
 */

export function callResult(
  dispatchId: string,
  correlationId: bigint,
  output: Any | undefined,
  error: WireError | undefined,
): CallResult {
  return { $typeName: 'dispatch.sdk.v1.CallResult', correlationId, output, error, dispatchId };
}

export function exitMessage(result: Exit['result'], tailCall: Exit['tailCall']): Exit {
  return { $typeName: 'dispatch.sdk.v1.Exit', result, tailCall };
}

export function pollMessage(
  state: Poll['state'],
  calls: Poll['calls'],
  maxWait: Duration | undefined,
  minResults: number,
  maxResults: number,
): Poll {
  return { $typeName: 'dispatch.sdk.v1.Poll', state, calls, maxWait, maxResults, minResults };
}

export function pollResultMessage(state: PollResult['state'], results: CallResult[]): PollResult {
  return { $typeName: 'dispatch.sdk.v1.PollResult', state, results, error: undefined };
}

export function runResponse(status: RunResponse['status'], directive: RunResponse['directive']): RunResponse {
  return { $typeName: 'dispatch.sdk.v1.RunResponse', status, directive };
}

export function runRequest(
  name: string,
  dispatchId: string,
  parentDispatchId: string,
  rootDispatchId: string,
  createdAt: number,
  expiresAt: number | undefined,
): RunRequest {
  return {
    $typeName: 'dispatch.sdk.v1.RunRequest',
    function: name,
    directive: { case: undefined },
    dispatchId,
    parentDispatchId,
    rootDispatchId,
    creationTime: timestamp(createdAt),
    expirationTime: expiresAt === undefined ? undefined : timestamp(expiresAt),
  };
}

/** @param time milliseconds since 1970 */
function timestamp(time: number): Timestamp {
  const seconds = Math.floor(time / 1000);
  const nanos = (time - seconds * 1000) * 1_000_000;
  return { $typeName: 'google.protobuf.Timestamp', seconds: BigInt(seconds), nanos };
}
