import { timestampDate, type Timestamp } from '@bufbuild/protobuf/wkt';
import type { RunRequest } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { CurrentCall } from './types.js';

/** What `currentCall()` tells of a request's call. */
export function describeCurrentCall(request: RunRequest, signal: AbortSignal, attempt: () => number): CurrentCall {
  return {
    id: request.dispatchId,
    parentId: request.parentDispatchId === '' ? undefined : request.parentDispatchId,
    rootId: request.rootDispatchId,
    function: request.function,
    get attempt() {
      return attempt();
    },
    creationTime: toDate(request.creationTime),
    expirationTime: toDate(request.expirationTime),
    signal,
  };
}

const toDate = (time: Timestamp | undefined): Date | undefined =>
  time === undefined ? undefined : timestampDate(time);
