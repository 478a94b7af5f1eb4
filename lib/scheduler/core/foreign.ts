import type { Any } from '@bufbuild/protobuf/wkt';
import type { CallResult } from '../../gen/dispatch/sdk/v1/call_pb.js';
import type { Error as WireError } from '../../gen/dispatch/sdk/v1/error_pb.js';
import { callResult } from '../../protocol/index.js';
import { create } from '@bufbuild/protobuf';
import { ErrorSchema } from '../../gen/dispatch/sdk/v1/error_pb.js';
import { isExtendedAny } from '../../values/index.js';
import type { Core } from './core.js';
import type { CallRecord } from './record.js';
import { failure } from './results.js';

/** Messages of our own, which nobody knows who does not speak the extension. */

export function refusedInput(name: string, endpoint: string, input: Any): WireError {
  return failure(
    'InvalidResponseError',
    `the input of ${name} is a ${nameOf(input)}, which ${endpoint} cannot read: ` +
      'pass one plain value (JSON, bytes, a date or a protobuf message) to functions of other services',
  );
}

/** A result as an endpoint may see it that does not speak the extension: nobody else knows our own types. */
export function foreignResult(result: CallResult): CallResult {
  const { output } = result;
  if (output === undefined || !isExtendedAny(output)) return result;
  const reason =
    `the result is a ${nameOf(output)}, which the calling function cannot read: ` +
    'return one plain value (JSON, bytes, a date or a protobuf message) to callers of other services';
  return callResult(result.dispatchId, result.correlationId, undefined, failure('InvalidResponseError', reason));
}

/**
 * An error as the caller of what failed may see it. Its value is what one language makes of its own errors, and the Python
 * SDK unpickles whatever is there: it goes to endpoints that speak the extension, and back to the one that it came from.
 */
export function errorForCaller(core: Core, { fn, parent }: CallRecord, error: WireError): WireError {
  if (error.value.length === 0 || parent === undefined) return error;
  const caller = parent.fn.endpoint;
  if (caller === fn.endpoint || core.transport.extended(caller)) return error;
  const { type, message, traceback } = error;
  return create(ErrorSchema, { type, message, traceback });
}

function nameOf(any: Any): string {
  return any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1);
}
