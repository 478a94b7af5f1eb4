import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { EndpointRefusedError } from '../endpoint/index.js';
import { DispatchError, Status } from '../errors/index.js';
import { SchedulerStoppedError, StoreError, type SchedulerLog } from '../scheduler/index.js';

/** Tells clients what they can do something about, and of all else no more than that it failed. */
export function explainErrors(log: SchedulerLog): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      throw explained(error, `${request.service.typeName}/${request.method.name}`, log);
    }
  };
}

function explained(error: unknown, method: string, log: SchedulerLog): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof EndpointRefusedError) return new ConnectError(error.message, Code.PermissionDenied);
  if (error instanceof SchedulerStoppedError) {
    return new ConnectError('the scheduler is starting or shutting down: try again', Code.Unavailable);
  }
  if (error instanceof DispatchError) return new ConnectError(error.message, codeOf(error.status));
  const reason = error instanceof Error ? error.message : String(error);
  log.error(`A request of ${method} failed: ${reason}`);
  // The message of a store names files and hosts that are no client's business.
  if (error instanceof StoreError)
    return new ConnectError('the store of the scheduler fails: try again', Code.Unavailable);
  return new ConnectError('internal error', Code.Internal);
}

function codeOf(status: Status): Code {
  switch (status) {
    case Status.INVALID_ARGUMENT:
      return Code.InvalidArgument;
    case Status.NOT_FOUND:
      return Code.NotFound;
    case Status.PERMISSION_DENIED:
      return Code.PermissionDenied;
    case Status.UNAUTHENTICATED:
      return Code.Unauthenticated;
    case Status.THROTTLED:
      return Code.ResourceExhausted;
    case Status.TIMEOUT:
      return Code.DeadlineExceeded;
    default:
      return Code.Unavailable;
  }
}
