import { create } from '@bufbuild/protobuf';
import { durationFromMs, type Any } from '@bufbuild/protobuf/wkt';
import { CallResultSchema, CallSchema, type Call } from '../gen/dispatch/sdk/v1/call_pb.js';
import type { Error as WireError } from '../gen/dispatch/sdk/v1/error_pb.js';
import { ExitSchema } from '../gen/dispatch/sdk/v1/exit_pb.js';
import { RunResponseSchema } from '../gen/dispatch/sdk/v1/function_pb.js';
import { PollSchema, type Poll } from '../gen/dispatch/sdk/v1/poll_pb.js';
import { packError } from '../values/index.js';
import { Status } from '../errors/index.js';
import type { JournalPosition, RunAnswer } from '../protocol/index.js';
import type { CallSpec } from './types.js';

/** The most results that one resume may carry (PROTOCOL: 1 to 1000). */
export const MAX_RESULTS = 1000;

export function exitWithOutput(output: Any, status: Status): RunAnswer {
  return exit(status, { output });
}

export function exitWithError(status: Status, error: WireError): RunAnswer {
  return exit(status, { error });
}

/** An exit for an error of the runtime's own, or of the request. */
export function refuse(error: unknown, status: Status): RunAnswer {
  return exitWithError(status, packError(error, { status }));
}

function exit(status: Status, result: { output?: Any; error?: WireError }): RunAnswer {
  return {
    response: create(RunResponseSchema, {
      status,
      directive: { case: 'exit', value: create(ExitSchema, { result: create(CallResultSchema, result) }) },
    }),
  };
}

export function exitWithTailCall(call: Call): RunAnswer {
  return {
    response: create(RunResponseSchema, {
      status: Status.OK,
      directive: { case: 'exit', value: create(ExitSchema, { tailCall: call }) },
    }),
  };
}

export interface PollParts {
  readonly state: Poll['state'];
  readonly appended: JournalPosition | undefined;
  readonly calls: Call[];
  /** Milliseconds; undefined: no limit. */
  readonly maxWait: number | undefined;
  readonly minResults: number;
}

export function poll({ state, appended, calls, maxWait, minResults }: PollParts): RunAnswer {
  const response = create(RunResponseSchema, {
    status: Status.OK,
    directive: {
      case: 'poll',
      value: create(PollSchema, {
        state,
        calls,
        maxWait: maxWait === undefined ? undefined : durationFromMs(maxWait),
        minResults: Math.min(minResults, MAX_RESULTS),
        maxResults: MAX_RESULTS,
      }),
    },
  });
  return appended === undefined ? { response } : { response, appended };
}

export function toCall(spec: CallSpec, correlationId: bigint, ownEndpoint: string): Call {
  return create(CallSchema, {
    correlationId,
    endpoint: spec.endpoint === undefined || spec.endpoint === '' ? ownEndpoint : spec.endpoint,
    function: spec.function,
    version: spec.version ?? '',
    input: spec.input,
    expiration: spec.expiration === undefined ? undefined : durationFromMs(spec.expiration),
  });
}
