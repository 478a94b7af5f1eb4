import { errorClassOfStatus } from '../endpoint/index.js';
import { Status } from '../errors/index.js';
import type { CallResult } from '../gen/dispatch/sdk/v1/call_pb.js';
import { unpack, unpackError } from '../values/index.js';

/** The value of a result; throws its error. */
export function readResult(result: CallResult, status: Status): unknown {
  if (result.error !== undefined) throw unpackError(result.error);
  if (status === Status.OK || status === Status.UNSPECIFIED) return unpack(result.output);
  throw new (errorClassOfStatus(status))(`The call ended with status ${Status[status]}, and no error was given.`);
}
