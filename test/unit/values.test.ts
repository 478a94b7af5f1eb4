import { describe, expect, test } from '@jest/globals';
import { create, fromBinary, fromJson, isMessage, type JsonValue, toBinary } from '@bufbuild/protobuf';
import {
  type Any,
  AnySchema,
  BoolValueSchema,
  BytesValueSchema,
  DoubleValueSchema,
  DurationSchema,
  FloatValueSchema,
  Int32ValueSchema,
  Int64ValueSchema,
  ListValueSchema,
  StringValueSchema,
  StructSchema,
  TimestampSchema,
  UInt32ValueSchema,
  UInt64ValueSchema,
  ValueSchema,
} from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { Readable } from 'node:stream';
import { InvalidArgumentError } from '../../lib/errors/index.js';
import { CallSchema } from '../../lib/proto.js';
import {
  inputHash,
  inputKey,
  isInputHash,
  isExtendedAny,
  pack,
  packArguments,
  registerMessageType,
  typeNameOf,
  unpack,
  unpackArguments,
} from '../../lib/values/index.js';
import { JournalSchema } from '../../lib/proto.js';

/** Through the bytes of an Any, as over the wire. */
function roundTrip(value: unknown): unknown {
  return unpack(wired(pack(value)));
}

function wired(any: Any): Any {
  return fromBinary(AnySchema, toBinary(AnySchema, any));
}

function anyWith(typeName: string, value: Uint8Array): Any {
  return create(AnySchema, { typeUrl: `type.googleapis.com/${typeName}`, value });
}

function nested(levels: number, make: (inner: unknown) => unknown): unknown {
  let value: unknown = 'inside';
  for (let level = 0; level < levels; level++) value = make(value);
  return value;
}

describe('the type that a value is recorded as', () => {
  class Point {
    constructor(
      readonly x: number,
      readonly y: number,
    ) {}
  }

  test.each<[string, unknown, string]>([
    ['undefined', undefined, 'google.protobuf.Empty'],
    ['null', null, 'google.protobuf.Value'],
    ['a boolean', false, 'google.protobuf.BoolValue'],
    ['an integer', 42, 'google.protobuf.Int64Value'],
    ['the largest safe integer', Number.MAX_SAFE_INTEGER, 'google.protobuf.Int64Value'],
    ['an integer beyond the safe range', 2 ** 53, 'google.protobuf.DoubleValue'],
    ['a fraction', 0.5, 'google.protobuf.DoubleValue'],
    ['-0', -0, 'google.protobuf.DoubleValue'],
    ['NaN', NaN, 'google.protobuf.DoubleValue'],
    ['Infinity', -Infinity, 'google.protobuf.DoubleValue'],
    ['a bigint in 64 bits', -(2n ** 63n), 'google.protobuf.Int64Value'],
    ['a bigint beyond 64 bits', 2n ** 63n, 'nestjs_dispatch.v1.Graph'],
    ['a string', 'text', 'google.protobuf.StringValue'],
    ['half of a surrogate pair', 'a\ud800', 'nestjs_dispatch.v1.Graph'],
    ['bytes', Uint8Array.of(1), 'google.protobuf.BytesValue'],
    ['a Buffer', Buffer.from('x'), 'google.protobuf.BytesValue'],
    ['a Date', new Date(0), 'google.protobuf.Timestamp'],
    ['an invalid Date', new Date(NaN), 'nestjs_dispatch.v1.Graph'],
    ['a Date beyond the year 9999', new Date(8.64e15), 'nestjs_dispatch.v1.Graph'],
    ['an array', [1, [2]], 'google.protobuf.Value'],
    ['an object', { a: { b: 1 } }, 'google.protobuf.Value'],
    ['a class instance', new Point(1, 2), 'google.protobuf.Value'],
    ['an object without prototype', Object.assign(Object.create(null), { a: 1 }), 'google.protobuf.Value'],
    ['an object with a Date in it', { at: new Date(0) }, 'nestjs_dispatch.v1.Graph'],
    ['an object with bytes in it', { bytes: Uint8Array.of(1) }, 'nestjs_dispatch.v1.Graph'],
    ['an array with NaN in it', [NaN], 'nestjs_dispatch.v1.Graph'],
    ['a Map', new Map([[1, 2]]), 'nestjs_dispatch.v1.Graph'],
    ['an Error', new TypeError('no'), 'nestjs_dispatch.v1.Graph'],
    ['a URL', new URL('https://example.com/'), 'nestjs_dispatch.v1.Graph'],
    ['a RegExp', /x/g, 'nestjs_dispatch.v1.Graph'],
    ['a Duration message', create(DurationSchema, { seconds: 1n }), 'google.protobuf.Duration'],
    ['a message of Dispatch', create(CallSchema, { function: 'f' }), 'dispatch.sdk.v1.Call'],
  ])('%s', (_, value, typeName) => {
    expect(typeNameOf(pack(value))).toBe(typeName);
  });

  test('messages of Dispatch have a prefix of their own', () => {
    expect(pack(create(CallSchema)).typeUrl).toBe('buf.build/stealthrocket/dispatch-proto/dispatch.sdk.v1.Call');
    expect(pack(1).typeUrl).toBe('type.googleapis.com/google.protobuf.Int64Value');
  });

  test('only our own types are marked as extended', () => {
    expect(isExtendedAny(pack(new Map()))).toBe(true);
    expect(isExtendedAny(packArguments([1, 2]))).toBe(true);
    expect(isExtendedAny(pack({ a: 1 }))).toBe(false);
    expect(isExtendedAny(undefined)).toBe(false);
  });
});

describe('bytes equal those of the generated code', () => {
  const bytes = (value: unknown) => Buffer.from(pack(value).value).toString('hex');
  const hex = (binary: Uint8Array) => Buffer.from(binary).toString('hex');

  test('of integers', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(bytes(value)).toBe(hex(toBinary(Int64ValueSchema, create(Int64ValueSchema, { value: BigInt(value) }))));
      }),
    );
  });

  test('of bigints', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        expect(bytes(value)).toBe(hex(toBinary(Int64ValueSchema, create(Int64ValueSchema, { value }))));
      }),
    );
  });

  test('of doubles', () => {
    fc.assert(
      fc.property(
        fc.double().filter((value) => !Number.isSafeInteger(value)),
        (value) => {
          expect(bytes(value)).toBe(hex(toBinary(DoubleValueSchema, create(DoubleValueSchema, { value }))));
        },
      ),
    );
  });

  test('of strings', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (value) => {
        expect(bytes(value)).toBe(hex(toBinary(StringValueSchema, create(StringValueSchema, { value }))));
      }),
    );
    for (const length of [127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
      const value = 'x'.repeat(length);
      expect(bytes(value)).toBe(hex(toBinary(StringValueSchema, create(StringValueSchema, { value }))));
    }
  });

  test('of bytes and booleans', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (value, flag) => {
        expect(bytes(value)).toBe(hex(toBinary(BytesValueSchema, create(BytesValueSchema, { value }))));
        expect(bytes(flag)).toBe(hex(toBinary(BoolValueSchema, create(BoolValueSchema, { value: flag }))));
      }),
    );
  });

  test('of dates', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date(-62_135_596_800_000), max: new Date(253_402_300_799_999), noInvalidDate: true }),
        (date) => {
          const seconds = Math.floor(date.getTime() / 1000);
          const nanos = (date.getTime() - seconds * 1000) * 1e6;
          const message = create(TimestampSchema, { seconds: BigInt(seconds), nanos });
          expect(bytes(date)).toBe(hex(toBinary(TimestampSchema, message)));
        },
      ),
    );
  });

  test('of JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6, stringUnit: 'grapheme' }), (value) => {
        fc.pre(typeof value === 'object' && value !== null && !JSON.stringify(value).includes('"__proto__"'));
        expect(bytes(value)).toBe(hex(toBinary(ValueSchema, fromJson(ValueSchema, value as JsonValue))));
      }),
    );
  });
});

describe('values come back as they were', () => {
  test('primitives', () => {
    const primitive = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.boolean(),
      fc.maxSafeInteger(),
      fc.double(),
      fc.constant(undefined),
      fc.constant(null),
      fc.uint8Array(),
      fc.date(),
      fc.bigInt().filter((value) => !Number.isSafeInteger(Number(value))),
    );
    fc.assert(fc.property(primitive, (value) => expect(roundTrip(value)).toEqual(value)));
  });

  test('every string, halves of surrogate pairs too', () => {
    const units = fc.array(fc.integer({ min: 0, max: 0xffff })).map((codes) => String.fromCharCode(...codes));
    fc.assert(
      fc.property(units, (text) => {
        expect(roundTrip(text)).toBe(text);
        expect(roundTrip([text, { [`_${text}`]: text }])).toEqual([text, { [`_${text}`]: text }]);
      }),
    );
    expect(roundTrip('\ufeffwith a byte order mark')).toBe('\ufeffwith a byte order mark');
  });

  test('JSON', () => {
    fc.assert(fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => expect(roundTrip(value)).toEqual(value)));
  });

  test('anything with built-in objects in it', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withUnicodeString: true,
      key: fc.string().filter((key) => !['__proto__', 'toJSON', 'then', '$typeName'].includes(key)),
    });
    fc.assert(
      fc.property(anything, (value) => {
        // In a Map or Set the value is a graph whatever it is: undefined stays undefined there.
        expect(roundTrip(new Map([['value', value]]))).toEqual(new Map([['value', value]]));
      }),
    );
  });

  test('safe integers as numbers, others as bigint', () => {
    expect(roundTrip(5n)).toBe(5);
    expect(roundTrip(2n ** 60n)).toBe(2n ** 60n);
    expect(roundTrip({ id: 5n })).toEqual({ id: 5n });
  });

  test('-0 wherever it is', () => {
    expect(roundTrip(-0)).toBe(-0);
    expect(roundTrip([-0])).toEqual([-0]);
  });

  test('undefined: dropped from JSON objects, null in JSON arrays, kept in graphs', () => {
    expect(roundTrip({ a: undefined, b: 1 })).toStrictEqual({ b: 1 });
    expect(roundTrip([undefined, , 1])).toStrictEqual([null, null, 1]);
    expect(roundTrip([undefined, new Date(0)])).toStrictEqual([undefined, new Date(0)]);
  });

  test('typed arrays, with nothing of the buffer around them', () => {
    const around = Uint8Array.of(9, 9, 1, 0, 2, 0, 9, 9);
    const view = new Uint16Array(around.buffer, 2, 2);
    const back = roundTrip(view) as Uint16Array;
    expect(back).toEqual(Uint16Array.of(1, 2));
    expect(back.buffer.byteLength).toBe(4);
    const data = roundTrip({ view: new DataView(around.buffer, 2, 1) }) as { view: DataView };
    expect(data.view.buffer.byteLength).toBe(1);
    expect(data.view.getUint8(0)).toBe(1);
    expect(roundTrip([Buffer.from('pooled')])).toEqual([new Uint8Array(Buffer.from('pooled'))]);
  });

  test('RegExp, URL, URLSearchParams, boxed primitives', () => {
    const value = { pattern: /a+/gi, url: new URL('https://example.com/x?y=1'), query: new URLSearchParams('a=1') };
    expect(roundTrip(value)).toEqual(value);
    expect(roundTrip([Object(1), Object('x'), Object(true)])).toEqual([1, 'x', true]);
    expect(roundTrip(Object(1n))).toBe(1);
  });

  test('cycles and what is there twice', () => {
    const node: Record<string, unknown> = { name: 'a' };
    node.self = node;
    node.list = [node];
    const back = roundTrip(node) as typeof node;
    expect(back.self).toBe(back);
    expect((back.list as unknown[])[0]).toBe(back);

    const shared = { n: 1 };
    expect(roundTrip([shared, shared])).toEqual([shared, shared]);
    const [left, right] = roundTrip([shared, shared, new Set()]) as object[];
    expect(left).toBe(right);
  });

  test('class instances by their own enumerable properties, and by toJSON where they have one', () => {
    class Money {
      readonly #secret = 1;
      constructor(readonly amount: number) {}
      get double(): number {
        return this.amount + this.#secret;
      }
    }
    class Temperature {
      toJSON(key: string): unknown {
        return { key, celsius: 20 };
      }
    }
    expect(roundTrip({ price: new Money(3) })).toStrictEqual({ price: { amount: 3 } });
    expect(roundTrip(new Temperature())).toEqual({ key: '', celsius: 20 });
    expect(roundTrip({ now: new Temperature() })).toEqual({ now: { key: 'now', celsius: 20 } });
    expect(roundTrip([new Temperature(), new Map()])).toEqual([{ key: '0', celsius: 20 }, new Map()]);
    expect(roundTrip({ toJSON: () => 'text' })).toBe('text');
    expect(roundTrip({ a: { toJSON: () => undefined } })).toStrictEqual({});
  });

  test('keys that could set a prototype stay data', () => {
    const value = JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1}') as object;
    const back = roundTrip(value) as object;
    expect(Object.hasOwn(back, '__proto__')).toBe(true);
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
    expect((back as { polluted?: boolean }).polluted).toBeUndefined();
    expect(JSON.stringify(back)).toBe(JSON.stringify(value));
  });

  test('protobuf messages, alone and in a graph', () => {
    const call = create(CallSchema, { function: 'f', correlationId: 7n, input: pack('x') });
    expect(roundTrip(call)).toEqual(call);
    expect(isMessage(roundTrip(call), CallSchema)).toBe(true);
    expect(roundTrip({ call })).toEqual({ call });
  });

  test('what was recorded does not change with what was read', () => {
    const any = wired(pack(Uint8Array.of(1, 2, 3)));
    (unpack(any) as Uint8Array).fill(0);
    expect(unpack(any)).toEqual(Uint8Array.of(1, 2, 3));
  });

  test('nor with bytes that were read from a Buffer, as the network has them', () => {
    const any = fromBinary(AnySchema, Buffer.from(toBinary(AnySchema, pack(Uint8Array.of(1, 2, 3)))));
    const bytes = unpack(any) as Uint8Array;
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
    bytes.fill(0);
    expect(unpack(any)).toEqual(Uint8Array.of(1, 2, 3));
    const value = create(BytesValueSchema, { value: Uint8Array.of(1, 2, 3) });
    const held = pack(create(CallSchema, { function: 'f', input: pack(value) }));
    const message = fromBinary(AnySchema, Buffer.from(toBinary(AnySchema, held)));
    const call = unpack(message) as { input: Any };
    call.input.value.fill(0);
    expect(unpack((unpack(message) as { input: Any }).input)).toEqual(Uint8Array.of(1, 2, 3));
  });
});

describe('errors as values', () => {
  test('come back with class, message, cause and properties', () => {
    const error = Object.assign(new RangeError('too far', { cause: new TypeError('inner') }), { limit: 5n });
    const back = roundTrip({ error }) as { error: RangeError & { limit: bigint } };
    expect(back.error).toBeInstanceOf(RangeError);
    expect(back.error.message).toBe('too far');
    expect(back.error.limit).toBe(5n);
    expect(back.error.cause).toBeInstanceOf(TypeError);
    expect(Object.keys(back.error)).toEqual(['limit']);
  });

  test('may contain themselves and each other', () => {
    const left = new Error('left') as Error & { other?: Error };
    const right = new Error('right', { cause: left }) as Error & { other?: Error };
    left.other = right;
    left.cause = left;
    const back = roundTrip(left) as typeof left;
    expect(back.cause).toBe(back);
    expect(back.other?.message).toBe('right');
    expect(back.other?.cause).toBe(back);
  });

  test('leave out properties that cannot be recorded', () => {
    const shared = { deep: { callback: () => 1 } };
    const error = Object.assign(new Error('request failed'), { code: 'E1', config: shared, again: shared, other: [1] });
    const back = roundTrip([error, { fine: true }]) as [typeof error, unknown];
    expect(back[0]).toMatchObject({ message: 'request failed', code: 'E1', other: [1] });
    expect(Object.keys(back[0])).toEqual(['code', 'other']);
    expect(back[1]).toEqual({ fine: true });
  });

  test('bring the errors of an AggregateError', () => {
    const back = roundTrip(new AggregateError([new TypeError('a'), 'b'], 'both')) as AggregateError;
    expect(back).toBeInstanceOf(AggregateError);
    expect(back.errors).toEqual([new TypeError('a'), 'b']);
  });
});

describe('what cannot be recorded', () => {
  class Holder {
    readonly run = () => 1;
  }

  test.each<[string, () => unknown, RegExp]>([
    [
      'a function',
      () => ({ items: [0, 1, { callback() {} }] }),
      /^args\[0\]\.items\[2\]\.callback is a function 'callback'/,
    ],
    [
      'a function among built-in objects',
      () => [new Map([['k', { f: Math.max }]])],
      /^args\[0\]\[0\]\.get\('k'\)\.f is a function/,
    ],
    ['a function itself', () => () => 1, /^args\[0\] is a function/],
    ['a method of an instance', () => new Holder(), /^args\[0\]\.run is a function/],
    ['a symbol', () => ({ 'odd key': Symbol('s') }), /^args\[0\]\["odd key"\] is a symbol \(Symbol\(s\)\)/],
    ['a promise', () => ({ user: Promise.resolve(1) }), /^args\[0\]\.user is a Promise, .*: await it first/],
    ['a thenable', () => [{ then() {} }], /^args\[0\]\[0\] is a Promise/],
    ['a stream', () => ({ body: Readable.from(['x']) }), /^args\[0\]\.body is a stream \(Readable\)/],
    ['a web stream', () => new ReadableStream(), /^args\[0\] is a stream/],
    ['a Response', () => [new Response('x')], /^args\[0\]\[0\] is a stream \(Response\)/],
    ['a WeakMap', () => new Set([new WeakMap()]), /^args\[0\]\.values\(0\) is a WeakMap/],
    ['an AbortSignal', () => ({ signal: AbortSignal.abort() }), /^args\[0\]\.signal is a AbortSignal/],
    ['a generator', () => (function* () {})(), /^args\[0\] is a /],
    ['shared memory', () => new SharedArrayBuffer(1), /^args\[0\] is a SharedArrayBuffer/],
    ['depth', () => nested(1001, (inner) => [inner]), /more than 1000 levels deep/],
    ['depth of a graph', () => nested(1001, (inner) => new Map([[1, inner]])), /more than 1000 levels deep/],
    [
      'a __proto__ key in a graph',
      () => [JSON.parse('{"__proto__": 1}'), new Date()],
      /^args\[0\]\[0\] is an object with a key __proto__/,
    ],
  ])('%s is refused with its path and a way out', (_, make, message) => {
    const refused = () => packArguments([make()]);
    expect(refused).toThrow(InvalidArgumentError);
    expect(refused).toThrow(message);
  });

  test('the path begins with the argument', () => {
    expect(() => packArguments([1, { f: isNaN }])).toThrow(/^args\[1\]\.f is a function 'isNaN'/);
    expect(() => pack({ f: isNaN }, 'result')).toThrow(/^result\.f is a function/);
  });

  test('what is shared so often that it would unfold is kept shared', () => {
    const doubling = nested(40, (inner) => [inner, inner]);
    const [left, right] = roundTrip(doubling) as unknown[];
    expect(left === right).toBe(true);
  });

  test('what unfolds into more than any message could carry', () => {
    const laughs = nested(40, (inner) => [inner, inner, 'ha'.repeat(10_000)]);
    expect(() => pack(laughs)).toThrow(/larger than 33554432 bytes/);
  });

  test('a message of a type that was not registered', () => {
    const journal = create(JournalSchema);
    expect(() => pack(journal)).toThrow(/nestjs_dispatch\.v1\.Journal.*registerMessageType/);
    const any = anyWith('nestjs_dispatch.v1.Journal', new Uint8Array());
    expect(() => unpack(any)).toThrow(/'nestjs_dispatch\.v1\.Journal'.*registerMessageType/);
    registerMessageType(JournalSchema);
    expect(roundTrip(journal)).toEqual(journal);
  });

  test('1,000 levels are fine', () => {
    const deep = nested(1000, (inner) => ({ inner }));
    expect(JSON.stringify(roundTrip(deep))).toBe(JSON.stringify(deep));
    const graph = nested(990, (inner) => new Map([['inner', inner]]));
    expect(roundTrip(graph)).toBeInstanceOf(Map);
  });
});

describe('what other languages send', () => {
  test.each<[string, Any, unknown]>([
    [
      'UInt64Value',
      anyWith(
        'google.protobuf.UInt64Value',
        toBinary(UInt64ValueSchema, create(UInt64ValueSchema, { value: 2n ** 64n - 1n })),
      ),
      2n ** 64n - 1n,
    ],
    [
      'a small UInt64Value',
      anyWith('google.protobuf.UInt64Value', toBinary(UInt64ValueSchema, create(UInt64ValueSchema, { value: 7n }))),
      7,
    ],
    [
      'UInt32Value',
      anyWith(
        'google.protobuf.UInt32Value',
        toBinary(UInt32ValueSchema, create(UInt32ValueSchema, { value: 4294967295 })),
      ),
      4294967295,
    ],
    [
      'Int32Value',
      anyWith('google.protobuf.Int32Value', toBinary(Int32ValueSchema, create(Int32ValueSchema, { value: -5 }))),
      -5,
    ],
    [
      'FloatValue',
      anyWith('google.protobuf.FloatValue', toBinary(FloatValueSchema, create(FloatValueSchema, { value: 1.5 }))),
      1.5,
    ],
    [
      'Struct',
      anyWith('google.protobuf.Struct', toBinary(StructSchema, fromJson(StructSchema, { a: [1] }))),
      { a: [1] },
    ],
    [
      'ListValue',
      anyWith('google.protobuf.ListValue', toBinary(ListValueSchema, fromJson(ListValueSchema, [1, 'x']))),
      [1, 'x'],
    ],
  ])('%s is read', (_, any, value) => {
    expect(unpack(any)).toEqual(value);
  });

  test('a pickle is refused with what to send instead', () => {
    const pickle = anyWith('dispatch.sdk.python.v1.Pickled', Uint8Array.of(0x0a, 1, 0x80));
    expect(() => unpack(pickle)).toThrow(InvalidArgumentError);
    expect(() => unpack(pickle)).toThrow(/pickled Python object.*send None, a bool/);
  });

  test('an unknown type is refused by its name', () => {
    expect(() => unpack(anyWith('acme.v1.Invoice', new Uint8Array()))).toThrow(/acme\.v1\.Invoice/);
    expect(() => unpack(create(AnySchema))).toThrow(/type_url is empty/);
  });
});

describe('malformed bytes', () => {
  const types = [
    'google.protobuf.Empty BoolValue Int64Value UInt64Value Int32Value UInt32Value DoubleValue FloatValue StringValue',
    'BytesValue Timestamp Duration Value Struct ListValue Any FieldMask',
  ]
    .join(' ')
    .split(' ')
    .map((name) => (name.includes('.') ? name : `google.protobuf.${name}`));
  const all = [...types, 'nestjs_dispatch.v1.Graph', 'nestjs_dispatch.v1.Arguments', 'dispatch.sdk.v1.Call', 'x.Y'];

  /** Either a value or an InvalidArgumentError. */
  function attempt(read: () => unknown): void {
    try {
      read();
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidArgumentError);
    }
  }

  test('are a value or an InvalidArgumentError, never anything else', () => {
    const bytes = fc.uint8Array({ maxLength: 60, size: 'max' });
    fc.assert(
      fc.property(fc.constantFrom(...all), bytes, (typeName, value) => {
        attempt(() => unpack(anyWith(typeName, value)));
        attempt(() => unpackArguments(anyWith(typeName, value)));
      }),
      { numRuns: 5000 },
    );
  });

  test('with one byte changed or the end cut off as well', () => {
    const sample = { a: [1, 'text', { b: null }], c: 'x'.repeat(200) };
    const graph = { ...sample, d: new Map([[new Date(0), new Error('e', { cause: sample })]]), e: 2n };
    const records = [sample, graph].map((value) => pack(value));
    fc.assert(
      fc.property(fc.constantFrom(...records), fc.nat(), fc.nat(255), fc.boolean(), (record, at, byte, cut) => {
        const value = record.value.slice(0, cut ? at % record.value.length : undefined);
        if (!cut) value[at % value.length] = byte;
        attempt(() => unpack(create(AnySchema, { typeUrl: record.typeUrl, value })));
      }),
      { numRuns: 3000 },
    );
  });

  test('text of a graph that no graph has', () => {
    const texts = [
      '',
      'null',
      '[]',
      '{}',
      '[[0]]',
      '[["Error",0]]',
      '[["Error",1],null]',
      '[["Error",1],{"type":1}]',
      '[["Message",1],[2,3],"x",4]',
      '[{"__proto__":1},1]',
      '[["null","__proto__",1],1]',
      '[[-7,4294967295]]',
      '[["Unknown",1],1]',
      '[["Temporal.Instant","x"]]',
      '[["Error",1],{"type":2,"message":2,"cause":0},"constructor"]',
      '[["Error",1],{"type":2,"message":2,"properties":3},"__proto__",{"__proto__":2}]',
      '[["RegExp","("]]',
      '[["BigInt","x"]]',
      '[["Uint8Array",0]]',
      '[["URL","x"]]',
      `[${'['.repeat(5000)}`,
      JSON.stringify(Array.from({ length: 50_000 }, (_, i) => [i + 1])),
    ];
    for (const text of texts) {
      const value = toBinary(StringValueSchema, create(StringValueSchema, { value: text }));
      attempt(() => unpack(anyWith('nestjs_dispatch.v1.Graph', value)));
    }
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test('nested without end are refused', () => {
    // Lists in lists, from the innermost outwards: Value { list_value { values … } }
    const prefixes: Uint8Array[] = [];
    let length = 0;
    for (let level = 0; level < 20_000; level++) {
      const element = Uint8Array.of(0x0a, ...varint(length));
      const prefix = Uint8Array.of(0x32, ...varint(element.length + length), ...element);
      prefixes.push(prefix);
      length += prefix.length;
    }
    const value = new Uint8Array(Buffer.concat(prefixes.reverse()));
    expect(() => unpack(anyWith('google.protobuf.Value', value))).toThrow(InvalidArgumentError);
  });
});

describe('arguments', () => {
  test('none, one and several', () => {
    expect(typeNameOf(packArguments([]))).toBe('google.protobuf.Empty');
    expect(typeNameOf(packArguments(['x']))).toBe('google.protobuf.StringValue');
    expect(typeNameOf(packArguments(['x', 1]))).toBe('nestjs_dispatch.v1.Arguments');
    expect(unpackArguments(undefined)).toEqual([]);
    expect(unpackArguments(packArguments([]))).toEqual([]);
    expect(unpackArguments(packArguments([undefined]))).toEqual([]);
    expect(unpackArguments(packArguments([[1, 2]]))).toEqual([[1, 2]]);
    expect(unpackArguments(packArguments([undefined, null, 'x']))).toEqual([undefined, null, 'x']);
  });

  test('come back as they were', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { minLength: 1 }), (args) => {
        expect(unpackArguments(wired(packArguments(args)))).toEqual(args);
      }),
    );
  });
});

describe('the key of an input', () => {
  test('is the same for the same input and another for another', () => {
    for (const args of [
      [],
      ['a'],
      ['a', 1],
      [0],
      [false],
      [''],
      ['a'.repeat(12)],
      ['a'.repeat(13)],
      ['a'.repeat(1000)],
    ]) {
      expect(inputKey(packArguments(args))).toEqual(inputKey(packArguments(args)));
      expect(inputKey(packArguments(args))).not.toEqual(inputKey(packArguments(['another'])));
    }
    expect(inputKey(packArguments(['a', 1]))).not.toEqual(inputKey(packArguments(['a', 2])));
    expect(inputKey(pack(0))).not.toEqual(inputKey(pack(false)));
  });

  test('is the input itself where that is short, and its hash where it is not', () => {
    expect(inputKey(pack('a'.repeat(12)))).toEqual(Uint8Array.from([4, 0x0a, 12, ...Buffer.from('a'.repeat(12))]));
    expect(isInputHash(inputKey(pack('a'.repeat(12))))).toBe(false);
    expect(inputKey(pack('a'.repeat(13)))).toEqual(inputHash(pack('a'.repeat(13))));
    expect(isInputHash(inputKey(pack('a'.repeat(13))))).toBe(true);
    expect(isInputHash(inputKey(create(AnySchema, { typeUrl: 'example.com/a.Type' })))).toBe(true);
  });

  test('does not depend on where the type URL came from', () => {
    const any = pack('x');
    expect(inputKey(create(AnySchema, { typeUrl: 'google.protobuf.StringValue', value: any.value }))).toEqual(
      inputKey(any),
    );
    expect(inputKey(undefined)).toEqual(inputKey(packArguments([])));
  });
});

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return Uint8Array.from([...bytes, value]);
}
