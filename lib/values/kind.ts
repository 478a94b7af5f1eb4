import { types } from 'node:util';

/** What an object is to a record. Built-in classes are told by their internal slots: realms and subclasses do not matter. */
export type Kind =
  | 'array'
  | 'object' // by its own enumerable properties
  | 'json' // has a toJSON
  | 'boxed' // new Number(1)
  | 'bytes' // Uint8Array, and so Buffer
  | 'buffer' // the other typed arrays, DataView, ArrayBuffer
  | 'date'
  | 'map'
  | 'set'
  | 'error'
  | 'message' // of protobuf
  | 'text' // RegExp, URL, URLSearchParams, Temporal: as their text
  | 'promise'
  | 'stream'
  | 'other'; // holds nothing that could be recorded

export function kindOf(value: object): Kind {
  if (Array.isArray(value)) return 'array';
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? plainKind(value) : instanceKind(value);
}

export function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error;
}

function plainKind(value: object): Kind {
  const { toJSON, $typeName, then } = value as Record<string, unknown>;
  if (typeof $typeName === 'string') return 'message';
  if (typeof then === 'function') return 'promise';
  return typeof toJSON === 'function' ? 'json' : 'object';
}

function instanceKind(value: object): Kind {
  if (isError(value)) return 'error';
  if (types.isUint8Array(value)) return 'bytes';
  if (types.isDate(value)) return 'date';
  if (types.isMap(value)) return 'map';
  if (types.isSet(value)) return 'set';
  if (ArrayBuffer.isView(value) || types.isArrayBuffer(value)) return 'buffer';
  if (types.isBoxedPrimitive(value)) return 'boxed';
  if (types.isPromise(value)) return 'promise';
  const tag = tagOf(value);
  if (types.isRegExp(value) || isUrl(value, tag) || tag.startsWith('Temporal.')) return 'text';
  if (isStream(value, tag)) return 'stream';
  const kind = plainKind(value);
  if (kind !== 'object' || tag === 'Object' || tag === 'Arguments') return kind;
  return Object.keys(value).length === 0 ? 'other' : 'object';
}

/** `Map` of `[object Map]`. */
export function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

function isUrl(value: object, tag: string): boolean {
  return (tag === 'URL' && value instanceof URL) || (tag === 'URLSearchParams' && value instanceof URLSearchParams);
}

/** A body that can be read once is gone after the record: Response and Blob count as well. */
function isStream(value: object, tag: string): boolean {
  const { pipe, on } = value as Record<string, unknown>;
  if (typeof pipe === 'function' && typeof on === 'function') return true;
  return /^(Readable|Writable|Transform)Stream$|^(Request|Response|Blob|File|FormData)$/.test(tag);
}
