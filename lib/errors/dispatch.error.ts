import { Status } from './status.js';

export interface DispatchErrorOptions extends ErrorOptions {
  /** The status that a run ends with when it throws the error. The class's own by default. */
  status?: Status;
}

/**
 * An error with a status: what a scheduler does after it is decided by `status` and nothing else. Throw one of the
 * subclasses, or extend one:
 *
 * ```ts
 * class RateLimited extends ThrottleError {}
 * ```
 */
export class DispatchError extends Error {
  /** How the run ends that throws this error: retried or final. */
  declare readonly status: Status;

  constructor(message?: string, options: DispatchErrorOptions = {}) {
    super(message, options);
    if (options.status !== undefined) this.status = options.status;
  }

  static {
    describe(this, 'DispatchError', Status.PERMANENT_ERROR);
  }
}

/** It took too long. Retried. */
export class TimeoutError extends DispatchError {
  static {
    describe(this, 'TimeoutError', Status.TIMEOUT);
  }
}

/** Refused because of load. Retried, more slowly. */
export class ThrottleError extends DispatchError {
  static {
    describe(this, 'ThrottleError', Status.THROTTLED);
  }
}

/** The arguments are wrong, or cannot be recorded. Final. */
export class InvalidArgumentError extends DispatchError {
  static {
    describe(this, 'InvalidArgumentError', Status.INVALID_ARGUMENT);
  }
}

/** An answer cannot be used. Final. */
export class InvalidResponseError extends DispatchError {
  static {
    describe(this, 'InvalidResponseError', Status.INVALID_RESPONSE);
  }
}

/** A failure that passes. Retried. */
export class TemporaryError extends DispatchError {
  static {
    describe(this, 'TemporaryError', Status.TEMPORARY_ERROR);
  }
}

/** A failure that another attempt will not cure. Final. */
export class PermanentError extends DispatchError {
  static {
    describe(this, 'PermanentError', Status.PERMANENT_ERROR);
  }
}

/** What is recorded of a function does not fit its code. Restarted or parked, see `onIncompatible`. */
export class IncompatibleStateError extends DispatchError {
  static {
    describe(this, 'IncompatibleStateError', Status.INCOMPATIBLE_STATE);
  }
}

/** A name could not be resolved. Retried. */
export class DNSError extends DispatchError {
  static {
    describe(this, 'DNSError', Status.DNS_ERROR);
  }
}

/** A connection could not be made, or broke. Retried. */
export class TCPError extends DispatchError {
  static {
    describe(this, 'TCPError', Status.TCP_ERROR);
  }
}

/** A handshake failed or a certificate was refused. Retried. */
export class TLSError extends DispatchError {
  static {
    describe(this, 'TLSError', Status.TLS_ERROR);
  }
}

/** An HTTP exchange failed. Retried. */
export class HTTPError extends DispatchError {
  static {
    describe(this, 'HTTPError', Status.HTTP_ERROR);
  }
}

/** Nobody proved who they are. Final. */
export class UnauthenticatedError extends DispatchError {
  static {
    describe(this, 'UnauthenticatedError', Status.UNAUTHENTICATED);
  }
}

/** They may not do this. Final. */
export class PermissionDeniedError extends DispatchError {
  static {
    describe(this, 'PermissionDeniedError', Status.PERMISSION_DENIED);
  }
}

/** There is no such thing. Final. */
export class NotFoundError extends DispatchError {
  static {
    describe(this, 'NotFoundError', Status.NOT_FOUND);
  }
}

/** The call was cancelled. Final; its wire type is `Cancelled`. */
export class CancelledError extends DispatchError {
  static {
    describe(this, 'CancelledError', Status.PERMANENT_ERROR);
  }
}

/** An option or an environment variable is wrong. The message names it and says what it should be. Final. */
export class ConfigurationError extends DispatchError {
  static {
    describe(this, 'ConfigurationError', Status.PERMANENT_ERROR);
  }
}

/**
 * Name and status live on the prototype: they survive minification, and are no own properties that every recorded error
 * would carry along.
 */
function describe(type: typeof DispatchError, name: string, status: Status): void {
  for (const [key, value] of [
    ['name', name],
    ['status', status],
  ] as const) {
    Object.defineProperty(type.prototype, key, { value, writable: true, configurable: true, enumerable: false });
  }
}
