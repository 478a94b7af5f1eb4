import { create } from '@bufbuild/protobuf';
import { Status } from '../errors/index.js';
import { RunRequestSchema, type RunRequest } from '../gen/dispatch/sdk/v1/function_pb.js';
import { PollResultSchema } from '../gen/dispatch/sdk/v1/poll_pb.js';
import { foreignResult, refusedInput } from '../scheduler/core/foreign.js';
import { isExtendedAny } from '../values/index.js';

/** Whether the request holds messages that only this package knows. */
export function carriesOwnValues({ directive }: RunRequest): boolean {
  switch (directive.case) {
    case 'input':
      return isExtendedAny(directive.value);
    case 'pollResult':
      return directive.value.results.some(({ output }) => output !== undefined && isExtendedAny(output));
    case undefined:
      return false;
  }
}

/** What a request is to the endpoints of others: one that they can read, or the reason why there is none. */
export type ForeignRequest =
  | { readonly kind: 'request'; readonly request: RunRequest }
  | { readonly kind: 'refusal'; readonly status: Status; readonly message: string };

/** The request for an endpoint that does not know our own messages: results of them are replaced by errors that say so. */
export function foreignRequest(endpoint: string, request: RunRequest): ForeignRequest {
  const { directive, function: name } = request;
  if (directive.case === 'input') {
    const { message } = refusedInput(name, endpoint, directive.value);
    return { kind: 'refusal', status: Status.INVALID_RESPONSE, message };
  }
  if (directive.case !== 'pollResult') return { kind: 'request', request };
  const { state, results, error } = directive.value;
  const value = create(PollResultSchema, { state, results: results.map(foreignResult), error });
  return {
    kind: 'request',
    request: create(RunRequestSchema, { ...request, directive: { case: 'pollResult', value } }),
  };
}
