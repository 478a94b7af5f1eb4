import { fromBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { InvalidArgumentError } from '../errors/index.js';
import { ArgumentsSchema } from '../gen/nestjs_dispatch/v1/values_pb.js';
import { GRAPH_TYPE, readGraph } from './graph.js';
import { readJson, readList, readStruct } from './json.js';
import { readMessage } from './message.registry.js';
import { malformed } from './refusal.js';
import {
  readBool,
  readBytes,
  readDouble,
  readFloat,
  readInt32,
  readInt64,
  readString,
  readTimestamp,
  readUInt32,
  readUInt64,
} from './scalar.js';
import { typeNameOf } from './type-url.js';

export const ARGUMENTS_TYPE = ArgumentsSchema.typeName;
export const EMPTY_TYPE = 'google.protobuf.Empty';
const PICKLED_TYPE = 'dispatch.sdk.python.v1.Pickled';

const READERS = new Map<string, (bytes: Uint8Array) => unknown>([
  [EMPTY_TYPE, () => undefined],
  ['google.protobuf.BoolValue', readBool],
  ['google.protobuf.Int64Value', readInt64],
  ['google.protobuf.UInt64Value', readUInt64],
  ['google.protobuf.Int32Value', readInt32],
  ['google.protobuf.UInt32Value', readUInt32],
  ['google.protobuf.DoubleValue', readDouble],
  ['google.protobuf.FloatValue', readFloat],
  ['google.protobuf.StringValue', readString],
  ['google.protobuf.BytesValue', readBytes],
  ['google.protobuf.Timestamp', readTimestamp],
  ['google.protobuf.Value', readJson],
  ['google.protobuf.Struct', readStruct],
  ['google.protobuf.ListValue', readList],
  [GRAPH_TYPE, readGraph],
  [ARGUMENTS_TYPE, (bytes) => readArguments(bytes).map(unpack)],
]);

/**
 * Reads what `pack`, or the SDK of another language, recorded. Integers outside of the safe range come as bigint.
 * No value at all is undefined.
 *
 * @throws InvalidArgumentError when the type is not known, the bytes do not hold it, or it is a pickled Python object
 */
export function unpack(any: Any | undefined): unknown {
  if (any === undefined) return undefined;
  const typeName = typeNameOf(any);
  const read = READERS.get(typeName);
  if (read === undefined) return readMessage(readable(typeName), any.value);
  try {
    return read(any.value);
  } catch (error) {
    throw malformed(typeName, error);
  }
}

export function readArguments(bytes: Uint8Array): Any[] {
  return fromBinary(ArgumentsSchema, bytes).values;
}

function readable(typeName: string): string {
  if (typeName === PICKLED_TYPE) {
    throw new InvalidArgumentError(
      'cannot read a pickled Python object: send None, a bool, int, float, str, bytes, datetime or timedelta, a list or ' +
        'dict of JSON values, or a protobuf message instead; from Python, as the `input` of a `Call`',
    );
  }
  if (typeName === '') throw new InvalidArgumentError('cannot read a value without a type: its type_url is empty');
  return typeName;
}
