import type { Message } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { GRAPH_TYPE, writeGraph } from './graph.js';
import { toJson, writeJson } from './json.js';
import { kindOf } from './kind.js';
import { writeMessage } from './message.registry.js';
import { refuseFunction, refuseKind } from './refusal.js';
import {
  isTimestamp,
  isWellFormed,
  NO_BYTES,
  writeBool,
  writeBytes,
  writeDouble,
  writeInt64,
  writeString,
  writeTimestamp,
} from './scalar.js';
import { anyOf, typeUrlOf } from './type-url.js';

const EMPTY = typeUrlOf('google.protobuf.Empty');
const BOOL = typeUrlOf('google.protobuf.BoolValue');
const INT64 = typeUrlOf('google.protobuf.Int64Value');
const DOUBLE = typeUrlOf('google.protobuf.DoubleValue');
const STRING = typeUrlOf('google.protobuf.StringValue');
const BYTES = typeUrlOf('google.protobuf.BytesValue');
const TIMESTAMP = typeUrlOf('google.protobuf.Timestamp');
const VALUE = typeUrlOf('google.protobuf.Value');
const GRAPH = typeUrlOf(GRAPH_TYPE);

/** Value { null_value: NULL_VALUE } */
const NULL_BYTES = Uint8Array.of(0x08, 0x00);

/**
 * Records a value: what it is in every language where there is such a thing, else as a graph that only this package
 * reads (Map, Set, nested Date or bytes, bigint beyond 64 bits, errors, cycles, text with halves of surrogate pairs).
 *
 * @param path what messages call the value
 * @throws InvalidArgumentError with the path of what cannot be recorded: functions, symbols, promises, streams …
 */
export function pack(value: unknown, path = 'value'): Any {
  switch (typeof value) {
    case 'undefined':
      return anyOf(EMPTY, NO_BYTES);
    case 'boolean':
      return anyOf(BOOL, writeBool(value));
    case 'number':
      return isInteger(value) ? anyOf(INT64, writeInt64(value)) : anyOf(DOUBLE, writeDouble(value));
    case 'string':
      return isWellFormed(value) ? anyOf(STRING, writeString(value)) : graph(value, path);
    case 'bigint':
      return BigInt.asIntN(64, value) === value ? anyOf(INT64, writeInt64(value)) : graph(value, path);
    case 'object':
      return value === null ? anyOf(VALUE, NULL_BYTES.slice()) : packObject(value, path);
    default:
      throw refuseFunction(value, path);
  }
}

function packObject(value: object, path: string): Any {
  const kind = kindOf(value);
  switch (kind) {
    case 'array':
    case 'object':
      return packData(value, path);
    case 'json': {
      const json = toJson(value, '');
      return typeof json === 'object' && json !== null && kindOf(json) === 'json'
        ? packData(json, path)
        : pack(json, path);
    }
    case 'boxed':
      return pack(value.valueOf(), path);
    case 'bytes':
      return anyOf(BYTES, writeBytes(value as Uint8Array));
    case 'date': {
      const time = (value as Date).getTime();
      return isTimestamp(time) ? anyOf(TIMESTAMP, writeTimestamp(time)) : graph(value, path);
    }
    case 'message': {
      const message = value as Message;
      return anyOf(typeUrlOf(message.$typeName), writeMessage(message, path));
    }
    case 'promise':
    case 'stream':
    case 'other':
      throw refuseKind(kind, value, path);
    case 'map':
    case 'set':
    case 'buffer':
    case 'error':
    case 'text':
      return graph(value, path);
  }
}

function packData(value: object, path: string): Any {
  const json = writeJson(value, path);
  return json === undefined ? graph(value, path) : anyOf(VALUE, json);
}

function graph(value: unknown, path: string): Any {
  return anyOf(GRAPH, writeGraph(value, path));
}

/** -0 has no integer of its own. */
function isInteger(value: number): boolean {
  return Number.isSafeInteger(value) && !Object.is(value, -0);
}
