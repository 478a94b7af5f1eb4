import { DispatchError } from './dispatch.error.js';
import { registeredErrorStatus, registeredOutputStatus } from './error.registry.js';
import { failureOf } from './failure.js';
import { statusOfHttp } from './http-status.js';
import { statusOfNetworkError } from './network-code.js';
import { isFailure, Status } from './status.js';

/** So many errors are looked at, along `cause` and `errors`, before the rest of a bundle is left out. */
const MAX_ERRORS = 1000;

/**
 * Sorts whatever was thrown, the first that applies:
 * 1. the nearest class that `registerErrorType` knows; a DispatchError's own status
 * 2. the status that a failed call ended with, when this is its error
 * 3. an HTTP status, 400 to 599: `getStatus()` (Nest), `status`, `statusCode`, `response.status`
 * 4. codes of Node and undici, on the error itself, its causes and the members of an AggregateError
 * 5. `fallback`
 *
 * Never throws.
 */
export function statusOf(error: unknown, fallback: Status = Status.PERMANENT_ERROR): Status {
  if (!isObject(error)) return fallback;
  return (
    attempt(() => registeredErrorStatus(error)) ??
    attempt(() => ownStatus(error)) ??
    attempt(() => failureOf(error)?.status) ??
    attempt(() => httpStatus(error)) ??
    attempt(() => networkStatus(error)) ??
    fallback
  );
}

/** Sorts a returned value: by `registerOutputType`, a fetch `Response` by its HTTP status, everything else is OK. */
export function statusOfOutput(value: unknown): Status {
  if (!isObject(value)) return Status.OK;
  return attempt(() => registeredOutputStatus(value)) ?? attempt(() => responseStatus(value)) ?? Status.OK;
}

function ownStatus(error: object): Status | undefined {
  if (!(error instanceof DispatchError)) return undefined;
  return isFailure(error.status) ? error.status : Status.PERMANENT_ERROR;
}

function httpStatus(error: object): Status | undefined {
  const { getStatus, status, statusCode, response } = error as Record<string, unknown>;
  const codes = [
    typeof getStatus === 'function' ? (getStatus.call(error) as unknown) : undefined,
    status,
    statusCode,
    isObject(response) ? (response as { status?: unknown }).status : undefined,
  ];
  const code = codes.find((value) => typeof value === 'number' && value >= 400 && value <= 599);
  return typeof code === 'number' ? statusOfHttp(code) : undefined;
}

/** Breadth first: what is nearer to the thrown error says more about it. */
function networkStatus(error: object): Status | undefined {
  const errors = new Set([error]);
  for (const one of errors) {
    const status = statusOfNetworkError(one);
    if (status !== undefined) return status;
    const { cause, errors: members } = one as { cause?: unknown; errors?: unknown };
    for (const next of [cause, ...(Array.isArray(members) ? (members as unknown[]) : [])]) {
      if (isObject(next) && errors.size < MAX_ERRORS) errors.add(next);
    }
  }
  return undefined;
}

/** By its shape: fetch of undici and of other packages have classes of their own. */
function responseStatus(value: object): Status | undefined {
  if (Object.prototype.toString.call(value) !== '[object Response]') return undefined;
  const { ok, status } = value as { ok?: unknown; status?: unknown };
  return ok === false && typeof status === 'number' ? statusOfHttp(status) : undefined;
}

/** Reads something of an error that may be anything, getters and proxies that throw included. */
function attempt(read: () => Status | undefined): Status | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
