import { inspect } from 'node:util';
import { errorClassOf, type Failure, failureOf, noteFailure, wireTypeOf } from '../errors/index.js';
import { setOwn } from './json.js';

/** What makes an error, apart from its class's code. */
export interface ErrorParts {
  readonly type: string;
  readonly message: string;
  /** Empty when there is none. */
  readonly stack: string;
  /** Absent when the error has none; a cause may be undefined. */
  readonly cause?: unknown;
  /** Own enumerable properties. */
  readonly properties: Readonly<Record<string, unknown>>;
  /** Of an AggregateError. */
  readonly errors?: readonly unknown[];
  readonly failure?: Failure;
}

/** A longer stack loses its end: each function that an error passes through adds to it. */
const MAX_STACK = 32 * 1024;

const LONE_SURROGATES = /\p{Surrogate}/gu;

/** Told apart from the properties that an application gave to its errors. */
const OF_EVERY_ERROR = new Set(['message', 'stack', 'cause']);

/** Takes an error apart. Never throws, whatever its getters do. */
export function partsOf(error: Error): ErrorParts {
  const type = attempt(() => wireTypeOf(error)) ?? 'Error';
  const errors = attempt(() => (error instanceof AggregateError ? (error.errors as unknown) : undefined));
  const failure = attempt(() => failureOf(error));
  const stack = text(attempt(() => error.stack));
  return {
    type: text(type),
    message: text(attempt(() => error.message)),
    stack: stack.length > MAX_STACK ? `${stack.slice(0, MAX_STACK)}\n    … (cut)` : stack,
    properties: propertiesOf(error, type, Array.isArray(errors)),
    ...(attempt(() => Object.hasOwn(error, 'cause')) ? { cause: attempt(() => error.cause) } : {}),
    ...(Array.isArray(errors) ? { errors: errors as unknown[] } : {}),
    ...(failure === undefined ? {} : { failure }),
  };
}

/** A thrown thing that is no error, as one: its text is the message, the thing itself the cause. */
export function partsOfThrown(thrown: unknown): ErrorParts {
  const message = attempt(() => (thrown as { message?: unknown } | null | undefined)?.message);
  return {
    type: 'Error',
    message:
      typeof message === 'string' ? text(message) : text(attempt(() => String(thrown)) ?? 'something that is no error'),
    stack: '',
    cause: thrown,
    properties: {},
  };
}

/**
 * Makes an error of a wire type: of its class when that is known here, else a plain Error of that name. No constructor
 * of an application runs. `complete` adds the rest, so that errors may contain each other.
 */
export function shellOf(type: string, message: string): Error {
  const known = errorClassOf(type);
  const error: Error =
    known !== undefined && (known === AggregateError || known.prototype instanceof AggregateError)
      ? (Reflect.construct(AggregateError, [[], message], known) as Error)
      : (Reflect.construct(Error, [message], known ?? Error) as Error);
  if (known === undefined) hide(error, 'name', type);
  return error;
}

/** Gives an error what `partsOf` found on it where it was thrown. */
export function complete(error: Error, parts: ErrorParts): Error {
  for (const [key, value] of Object.entries(parts.properties)) {
    // Whatever formats a stack counts on a name that is text.
    if (!OF_EVERY_ERROR.has(key) && (key !== 'name' || typeof value === 'string')) setOwnEnumerable(error, key, value);
  }
  if ('cause' in parts) hide(error, 'cause', parts.cause);
  if (parts.errors !== undefined) hide(error, 'errors', [...parts.errors]);
  if (parts.failure !== undefined) noteFailure(error, parts.failure);
  hide(error, 'stack', stackOf(error, parts));
  return error;
}

/** The remote stack below the error's own header, with a line in between that says which function it came from. */
function stackOf(error: Error, { stack, failure }: ErrorParts): string {
  const header = error.message === '' ? error.name : `${error.name}: ${error.message}`;
  const where = failure === undefined || failure.function === '' ? '' : `\n    at ${whereabouts(failure)}`;
  if (stack === '') return header + where;
  const frames = framesOf(stack, error.message);
  return frames === undefined ? `${header}${where}\n${stack}` : header + where + frames;
}

function whereabouts(failure: Failure): string {
  return `dispatch function ${failure.function}${failure.attempt > 0 ? ` (attempt ${failure.attempt})` : ''}`;
}

/** A V8 stack without its header (`Name: message`, of several lines perhaps); undefined for a stack of another kind. */
function framesOf(stack: string, message: string): string | undefined {
  const start = stack.indexOf(message);
  if (start === -1 || stack.slice(0, start).includes('\n')) return undefined;
  const end = start + message.length;
  const frames = stack.indexOf('\n    at ', end);
  if (frames !== -1) return stack.slice(frames);
  return message !== '' && end === stack.length ? '' : undefined;
}

function propertiesOf(error: Error, type: string, aggregate: boolean): Record<string, unknown> {
  const properties: Record<string, unknown> = {};
  for (const key of attempt(() => Object.keys(error)) ?? []) {
    if (OF_EVERY_ERROR.has(key) || (aggregate && key === 'errors')) continue;
    const value = attempt(() => (error as unknown as Record<string, unknown>)[key]);
    if (isData(value) && !(key === 'name' && value === type)) setOwn(properties, key, value);
  }
  return properties;
}

function isData(value: unknown): boolean {
  return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol';
}

function hide(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, { value, enumerable: false, configurable: true, writable: true });
}

function setOwnEnumerable(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Text that UTF-8 can say: halves of surrogate pairs become U+FFFD. */
function text(value: unknown): string {
  if (value === undefined) return '';
  return (typeof value === 'string' ? value : inspect(value)).replace(LONE_SURROGATES, '\ufffd');
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
