import { InvalidArgumentError } from '../errors/index.js';
import { type Kind, tagOf } from './kind.js';

/** More levels than this in one value are refused, written or read. */
export const MAX_DEPTH = 1000;

/** A value whose record would grow beyond this many bytes is refused while it grows. No message could carry it. */
export const MAX_BYTES = 32 * 1024 * 1024;

/** Why an object cannot be recorded, and what to do instead. */
export function refuseKind(kind: Kind, value: object, path: string): InvalidArgumentError {
  switch (kind) {
    case 'promise':
      return refuse(path, 'a Promise', 'await it first');
    case 'stream':
      return refuse(
        path,
        `a stream (${nameOf(value)})`,
        'read it first and pass its content, or pass where it is to be found',
      );
    default:
      return refuse(path, `a ${nameOf(value)}`, 'pass plain data made from it');
  }
}

export function refuseFunction(value: unknown, path: string): InvalidArgumentError {
  const name = typeof value === 'function' && value.name !== '' ? ` '${value.name}'` : '';
  return typeof value === 'symbol'
    ? refuse(path, `a symbol (${String(value)})`, 'pass a string')
    : refuse(path, `a function${name}`, 'leave it out, or pass what it returns');
}

export function refuseDepth(path: string): InvalidArgumentError {
  const at = path.length > 120 ? `${path.slice(0, 120)}…` : path;
  return new InvalidArgumentError(
    `${at} is nested more than ${MAX_DEPTH} levels deep and cannot be recorded: flatten it, or pass it as text`,
  );
}

export function refuseSize(path: string): InvalidArgumentError {
  return new InvalidArgumentError(
    `${path} is larger than ${MAX_BYTES} bytes and cannot be recorded: store it elsewhere and pass where it is`,
  );
}

export function refuse(path: string, what: string, instead: string): InvalidArgumentError {
  return new InvalidArgumentError(`${path} is ${what}, which cannot be recorded: ${instead}`);
}

/** Bytes that do not hold what their type says. */
export function malformed(typeName: string, cause: unknown): InvalidArgumentError {
  if (cause instanceof InvalidArgumentError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new InvalidArgumentError(`cannot read the value: its bytes are no ${typeName} (${reason})`, { cause });
}

function nameOf(value: object): string {
  const type: unknown = (value as { constructor?: unknown }).constructor;
  return typeof type === 'function' && type.name !== '' ? type.name : tagOf(value);
}
