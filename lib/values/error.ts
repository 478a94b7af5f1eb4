import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { isFailure, type Status } from '../errors/index.js';
import { type Error as WireError, ErrorSchema } from '../gen/dispatch/sdk/v1/error_pb.js';
import { type ErrorValue, ErrorValueSchema } from '../gen/nestjs_dispatch/v1/values_pb.js';
import { complete, type ErrorParts, partsOf, partsOfThrown, shellOf } from './error.parts.js';
import { isError } from './kind.js';
import { pack } from './pack.js';
import { NO_BYTES } from './scalar.js';
import { unpack } from './unpack.js';

/** What is known of the run that an error ended. What is left out is taken from the error, if it came from another call. */
export interface ErrorInfo {
  /** The function that failed. */
  readonly function?: string;
  /** On which attempt, from 1. */
  readonly attempt?: number;
  /** The status that the call ends with. */
  readonly status?: Status;
}

/** Properties that take more than this together are left out, the later ones first: the error itself must arrive. */
const MAX_PROPERTIES = 256 * 1024;

/**
 * Records whatever was thrown. Never throws: properties and causes that cannot be recorded are left out.
 *
 * `type`, `message` and `traceback` read in every language; `value` holds the rest and is for peers that negotiated it.
 */
export function packError(thrown: unknown, info: ErrorInfo = {}): WireError {
  const parts = isThrownError(thrown) ? partsOf(thrown) : partsOfThrown(thrown);
  const value = create(ErrorValueSchema, {
    cause: 'cause' in parts ? packed(parts.cause) : undefined,
    properties: packProperties(parts.properties),
    errors: (parts.errors ?? []).map(packed).filter((error) => error !== undefined),
    function: info.function ?? parts.failure?.function ?? '',
    attempt: info.attempt ?? parts.failure?.attempt ?? 0,
    status: info.status ?? parts.failure?.status ?? 0,
  });
  return create(ErrorSchema, {
    type: parts.type,
    message: parts.message,
    value: toBinary(ErrorValueSchema, value),
    traceback: parts.stack === '' ? NO_BYTES : new TextEncoder().encode(parts.stack),
  });
}

/**
 * Makes an error of what `packError`, or another language, recorded: of its class when that is built in, ours, or known
 * to `registerErrorType`, else a plain Error whose `name` is its type. Its `message` is as it was. Its `stack` goes on
 * with the remote one, and `failureOf` says which function failed, on which attempt. Never throws.
 *
 * @param info the function that was called, where the record does not name it
 */
export function unpackError(wire: WireError, info: Pick<ErrorInfo, 'function'> = {}): Error {
  const value = readErrorValue(wire.value);
  const properties = readable(value?.properties);
  const parts: ErrorParts = {
    type: wire.type || 'Error',
    message: wire.message,
    stack: new TextDecoder().decode(wire.traceback),
    properties: isRecord(properties?.value) ? properties.value : {},
    failure: {
      function: value?.function || info.function || '',
      attempt: value?.attempt ?? 0,
      ...(isFailure(value?.status) ? { status: value.status } : {}),
    },
  };
  const cause = readable(value?.cause);
  const errors = (value?.errors ?? []).map(readable).filter((error) => error !== undefined);
  return complete(shellOf(parts.type, parts.message), {
    ...parts,
    ...(cause === undefined ? {} : { cause: cause.value }),
    ...(errors.length === 0 ? {} : { errors: errors.map((error) => error.value) }),
  });
}

/** A proxy may throw at the question alone. */
function isThrownError(thrown: unknown): thrown is Error {
  try {
    return isError(thrown);
  } catch {
    return false;
  }
}

function packProperties(properties: Readonly<Record<string, unknown>>): Any | undefined {
  const keys = Object.keys(properties);
  if (keys.length === 0) return undefined;
  const all = packed(properties);
  if (all !== undefined && all.value.length <= MAX_PROPERTIES) return all;
  const kept: [string, unknown][] = [];
  let size = 0;
  for (const key of keys) {
    const length = packed({ [key]: properties[key] })?.value.length ?? Infinity;
    if (size + length > MAX_PROPERTIES) continue;
    size += length;
    kept.push([key, properties[key]]);
  }
  return kept.length === 0 ? undefined : packed(Object.fromEntries(kept));
}

/** Undefined for what cannot be recorded. */
function packed(value: unknown): Any | undefined {
  try {
    return pack(value);
  } catch {
    return undefined;
  }
}

/** Undefined for what cannot be read; in an object, because undefined is a value too. */
function readable(any: Any | undefined): { value: unknown } | undefined {
  try {
    return any === undefined ? undefined : { value: unpack(any) };
  } catch {
    return undefined;
  }
}

/** Peers of other languages put something of their own there (Python a pickle): that is nothing to us. */
function readErrorValue(bytes: Uint8Array): ErrorValue | undefined {
  if (bytes.length === 0) return undefined;
  try {
    const value = fromBinary(ErrorValueSchema, bytes);
    return value.$unknown === undefined ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
