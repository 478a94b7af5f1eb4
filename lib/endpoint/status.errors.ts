import {
  DNSError,
  HTTPError,
  IncompatibleStateError,
  InvalidArgumentError,
  InvalidResponseError,
  NotFoundError,
  PermanentError,
  PermissionDeniedError,
  Status,
  TCPError,
  TemporaryError,
  ThrottleError,
  TimeoutError,
  TLSError,
  UnauthenticatedError,
  type DispatchError,
} from '../errors/index.js';

/** The class of the error that stands for a status. */
export function errorClassOfStatus(status: Status): typeof DispatchError {
  switch (status) {
    case Status.TIMEOUT:
      return TimeoutError;
    case Status.THROTTLED:
      return ThrottleError;
    case Status.INVALID_ARGUMENT:
      return InvalidArgumentError;
    case Status.INVALID_RESPONSE:
      return InvalidResponseError;
    case Status.TEMPORARY_ERROR:
      return TemporaryError;
    case Status.INCOMPATIBLE_STATE:
      return IncompatibleStateError;
    case Status.DNS_ERROR:
      return DNSError;
    case Status.TCP_ERROR:
      return TCPError;
    case Status.TLS_ERROR:
      return TLSError;
    case Status.HTTP_ERROR:
      return HTTPError;
    case Status.UNAUTHENTICATED:
      return UnauthenticatedError;
    case Status.PERMISSION_DENIED:
      return PermissionDeniedError;
    case Status.NOT_FOUND:
      return NotFoundError;
    case Status.UNSPECIFIED:
    case Status.OK:
    case Status.PERMANENT_ERROR:
      return PermanentError;
  }
}
