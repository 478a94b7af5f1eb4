import { DispatchError, Status } from '../errors/index.js';

/**
 * A request's signature does not make it trustworthy.
 * - 401: it is missing, malformed, of another key id, or does not cover what it must
 * - 403: it is there and wrong: another key, changed content, too old, from the future
 */
export class SignatureError extends DispatchError {
  constructor(
    readonly httpStatus: 401 | 403,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, { ...options, status: httpStatus === 401 ? Status.UNAUTHENTICATED : Status.PERMISSION_DENIED });
  }

  static {
    Object.defineProperty(this.prototype, 'name', { value: 'SignatureError', writable: true, configurable: true });
  }
}

export function unauthenticated(message: string, cause?: unknown): SignatureError {
  return new SignatureError(401, message, cause === undefined ? {} : { cause });
}

export function forbidden(message: string): SignatureError {
  return new SignatureError(403, message);
}
