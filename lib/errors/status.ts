import { Status } from '../gen/dispatch/sdk/v1/status_pb.js';

export { Status };

/**
 * Whether a scheduler makes a call again that ended with this status.
 *
 * `Status.INCOMPATIBLE_STATE` is not among them: such a call cannot go on from where it was, so whether it may begin
 * again from its first input is a question of its own (`isIncompatible`).
 */
export function isRetryable(status: Status): boolean {
  switch (status) {
    case Status.TIMEOUT:
    case Status.THROTTLED:
    case Status.TEMPORARY_ERROR:
    case Status.DNS_ERROR:
    case Status.TCP_ERROR:
    case Status.TLS_ERROR:
    case Status.HTTP_ERROR:
      return true;
    default:
      return false;
  }
}

/** Whether the recorded state of a call fits none of the code that is here: it is restarted or parked, never resumed. */
export function isIncompatible(status: Status): boolean {
  return status === Status.INCOMPATIBLE_STATE;
}

/** Whether a failed run may end with it: every status of the protocol but UNSPECIFIED and OK. */
export function isFailure(status: unknown): status is Status {
  return isStatus(status) && status !== Status.UNSPECIFIED && status !== Status.OK;
}

/** Whether a value is a status of the protocol. */
export function isStatus(status: unknown): status is Status {
  return typeof status === 'number' && Status[status] !== undefined;
}
