import { describe, expect, test } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema, DurationSchema } from '@bufbuild/protobuf/wkt';
import { pack, unpack } from '../../lib/values/index.js';
import { fromBase64, toBase64, vectors } from './vectors.js';

type Value =
  | { kind: 'null' }
  | { kind: 'boolean'; value: boolean }
  | { kind: 'integer' | 'double' | 'string'; value: string }
  | { kind: 'bytes'; base64: string }
  | { kind: 'timestamp'; iso: string }
  | { kind: 'duration'; milliseconds: number }
  | { kind: 'json'; value: unknown };

interface Vector {
  name: string;
  value: Value;
  type_url: string;
  any_base64: string;
}

/** What the value is here. */
function expected(value: Value): unknown {
  switch (value.kind) {
    case 'null':
      return undefined;
    case 'integer':
      return Number.isSafeInteger(Number(value.value)) ? Number(value.value) : BigInt(value.value);
    case 'double':
      return Number(value.value);
    case 'bytes':
      return fromBase64(value.base64);
    case 'timestamp':
      return new Date(value.iso);
    case 'duration': {
      const seconds = Math.floor(value.milliseconds / 1000);
      const nanos = (value.milliseconds - seconds * 1000) * 1_000_000;
      return create(DurationSchema, { seconds: BigInt(seconds), nanos });
    }
    default:
      return value.value;
  }
}

describe('values that the Python SDK recorded', () => {
  for (const vector of vectors<Vector[]>('any.json')) {
    const bytes = fromBase64(vector.any_base64);
    const any = fromBinary(AnySchema, bytes);

    test(`${vector.name} is read`, () => {
      expect(any.typeUrl).toBe(vector.type_url);
      expect(unpack(any)).toEqual(expected(vector.value));
    });

    test(`${vector.name} is read whatever stands before the last slash of its type URL`, () => {
      const typeName = any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1);
      for (const typeUrl of [typeName, `/${typeName}`, `example.com/a/b/${typeName}`]) {
        expect(unpack(create(AnySchema, { typeUrl, value: any.value }))).toEqual(expected(vector.value));
      }
    });

    const finerThanMilliseconds = vector.value.kind === 'timestamp' && /\.\d{3}[1-9]/.test(vector.value.iso);
    if (finerThanMilliseconds) {
      test(`${vector.name} is written back cut to milliseconds`, () => {
        expect(unpack(pack(unpack(any)))).toEqual(expected(vector.value));
      });
    } else {
      test(`${vector.name} is written back byte for byte`, () => {
        expect(toBase64(toBinary(AnySchema, pack(unpack(any))))).toBe(vector.any_base64);
      });
    }
  }
});
