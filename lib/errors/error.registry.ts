import {
  CancelledError,
  ConfigurationError,
  DispatchError,
  DNSError,
  HTTPError,
  IncompatibleStateError,
  InvalidArgumentError,
  InvalidResponseError,
  NotFoundError,
  PermanentError,
  PermissionDeniedError,
  TCPError,
  TemporaryError,
  ThrottleError,
  TimeoutError,
  TLSError,
  UnauthenticatedError,
} from './dispatch.error.js';
import { isFailure, isStatus, Status } from './status.js';

/** Any class, whatever its constructor takes. */
export type Class<T> = abstract new (...args: never[]) => T;

/** A class of errors, as far as an error can be made of it without knowing its constructor. */
export type ErrorClass = Class<Error>;

type Sorter = (value: unknown) => Status;

const CANCELLED = 'Cancelled';

const BUILT_IN: ReadonlySet<unknown> = new Set([
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
  AggregateError,
]);

const OWN = [
  DispatchError,
  TimeoutError,
  ThrottleError,
  InvalidArgumentError,
  InvalidResponseError,
  TemporaryError,
  PermanentError,
  IncompatibleStateError,
  DNSError,
  TCPError,
  TLSError,
  HTTPError,
  UnauthenticatedError,
  PermissionDeniedError,
  NotFoundError,
  CancelledError,
  ConfigurationError,
];

const ownPrototypes = new Set<object>(OWN.map((type) => type.prototype));
const errorSorters = new Map<object, Sorter>();
const outputSorters = new Map<object, Sorter>();
const errorClasses = new Map<string, ErrorClass>([
  ...([...BUILT_IN] as ErrorConstructor[]).map((type) => [type.name, type] as const),
  ...OWN.map((type) => [type.prototype.name, type] as const),
  [CANCELLED, CancelledError],
]);

/**
 * Says how runs end that throw errors of a class, or of one that extends it. The nearest registered class counts. An
 * error of a registered class also comes back as that class to the function that awaits it.
 *
 * ```ts
 * registerErrorType(QuotaExceeded, Status.THROTTLED);
 * registerErrorType(PaymentError, (error) => (error.retryable ? Status.TEMPORARY_ERROR : Status.PERMANENT_ERROR));
 * ```
 *
 * @param status the status, or a function that tells it from the error; OK and UNSPECIFIED are no status of an error
 * @throws ConfigurationError when the class or the status cannot be used
 */
export function registerErrorType<T>(type: Class<T>, status: Status | ((error: T) => Status)): void {
  const prototype = prototypeOf(type, 'registerErrorType');
  if (typeof status !== 'function' && !isFailure(status)) {
    throw new ConfigurationError(
      `registerErrorType(${type.name}, ${String(status)}): an error cannot end a run with this status; give one of ` +
        'Status but OK and UNSPECIFIED, for instance Status.TEMPORARY_ERROR',
    );
  }
  errorSorters.set(prototype, sorter(status));
  if (prototype instanceof Error && type.name !== '') errorClasses.set(type.name, type as unknown as ErrorClass);
}

/**
 * Says how runs end that return values of a class, or of one that extends it: a returned value can ask for a retry as
 * well as a thrown error. The nearest registered class counts.
 *
 * @param status the status, or a function that tells it from the value
 * @throws ConfigurationError when the class or the status cannot be used
 */
export function registerOutputType<T>(type: Class<T>, status: Status | ((output: T) => Status)): void {
  const prototype = prototypeOf(type, 'registerOutputType');
  if (typeof status !== 'function' && (!isStatus(status) || status === Status.UNSPECIFIED)) {
    throw new ConfigurationError(
      `registerOutputType(${type.name}, ${String(status)}): give one of Status but UNSPECIFIED`,
    );
  }
  outputSorters.set(prototype, sorter(status));
}

/** The status that was registered for the nearest class of an error, unless one of ours with its own status is nearer. */
export function registeredErrorStatus(error: object): Status | undefined {
  for (let prototype = parent(error); prototype !== null; prototype = parent(prototype)) {
    const sort = errorSorters.get(prototype);
    if (sort !== undefined) {
      const status = sort(error);
      return isFailure(status) ? status : undefined;
    }
    if (ownPrototypes.has(prototype)) return undefined;
  }
  return undefined;
}

/** The status that was registered for the nearest class of a returned value. */
export function registeredOutputStatus(output: object): Status | undefined {
  for (let prototype = parent(output); prototype !== null; prototype = parent(prototype)) {
    const sort = outputSorters.get(prototype);
    if (sort !== undefined) {
      const status = sort(output);
      return isStatus(status) && status !== Status.UNSPECIFIED ? status : undefined;
    }
  }
  return undefined;
}

/** The class that errors of a wire type come back as; undefined for a type that is not known here. */
export function errorClassOf(wireType: string): ErrorClass | undefined {
  return errorClasses.get(wireType);
}

/**
 * What an error is called on the wire: its class's name, or its own `name` where it has one that its class did not give
 * it. A class that forgot to set `name` still goes by its own and not by `Error`.
 */
export function wireTypeOf(error: Error): string {
  if (error instanceof CancelledError && parent(error) === CancelledError.prototype) return CANCELLED;
  const name = typeof error.name === 'string' ? error.name : '';
  const type: unknown = error.constructor;
  if (typeof type !== 'function' || type.name === '') return name || 'Error';
  if (errorClasses.get(type.name) === type && !BUILT_IN.has(type)) return type.name;
  const named = Object.hasOwn(error, 'name') || (parent(error) !== null && Object.hasOwn(parent(error)!, 'name'));
  return (named && name) || type.name;
}

function sorter<T>(status: Status | ((value: T) => Status)): Sorter {
  return typeof status === 'function' ? (value) => status(value as T) : () => status;
}

function parent(value: object): object | null {
  return Object.getPrototypeOf(value) as object | null;
}

function prototypeOf(type: Class<unknown>, where: string): object {
  const prototype: unknown = typeof type === 'function' ? (type as { prototype: unknown }).prototype : undefined;
  if (typeof prototype === 'object' && prototype !== null) return prototype;
  throw new ConfigurationError(`${where}: the first argument must be a class, for instance TypeError`);
}
