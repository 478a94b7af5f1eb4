import { create } from '@bufbuild/protobuf';
import { Status } from '../../errors/index.js';
import { ErrorSchema, type Error as WireError } from '../../gen/dispatch/sdk/v1/error_pb.js';

/** An error as the protocol has it. */
export function failure(type: string, message: string): WireError {
  const error = create(ErrorSchema);
  error.type = type;
  error.message = message;
  return error;
}

/** The error of a run that failed with a status and did not say why. */
export function unexplained(status: Status): WireError {
  return failure(ERROR_TYPES[status] ?? 'PermanentError', `the function answered ${Status[status]} without an error`);
}

/** The wire type of errors that say no more than their status. */
const ERROR_TYPES: Partial<Record<Status, string>> = {
  [Status.TIMEOUT]: 'TimeoutError',
  [Status.THROTTLED]: 'ThrottleError',
  [Status.INVALID_ARGUMENT]: 'InvalidArgumentError',
  [Status.INVALID_RESPONSE]: 'InvalidResponseError',
  [Status.TEMPORARY_ERROR]: 'TemporaryError',
  [Status.INCOMPATIBLE_STATE]: 'IncompatibleStateError',
  [Status.DNS_ERROR]: 'DNSError',
  [Status.TCP_ERROR]: 'TCPError',
  [Status.TLS_ERROR]: 'TLSError',
  [Status.HTTP_ERROR]: 'HTTPError',
  [Status.UNAUTHENTICATED]: 'UnauthenticatedError',
  [Status.PERMISSION_DENIED]: 'PermissionDeniedError',
  [Status.NOT_FOUND]: 'NotFoundError',
};
