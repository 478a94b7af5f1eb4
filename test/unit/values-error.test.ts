import { describe, expect, test } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import {
  CancelledError,
  DispatchError,
  failureOf,
  PermanentError,
  registerErrorType,
  Status,
  statusOf,
  TimeoutError,
} from '../../lib/errors/index.js';
import { ErrorSchema, ErrorValueSchema } from '../../lib/proto.js';
import { type ErrorInfo, packError, unpackError } from '../../lib/values/index.js';

/** What an awaiting function is thrown, through the bytes of the wire. */
function thrown(error: unknown, info?: ErrorInfo): Error & Record<string, unknown> {
  const wire = fromBinary(ErrorSchema, toBinary(ErrorSchema, packError(error, info)));
  return unpackError(wire) as Error & Record<string, unknown>;
}

class PaymentError extends Error {
  readonly at = new Date(0);
  constructor(readonly order: { id: string }) {
    super(`order ${order.id} was not paid`);
  }
}

describe('an error on its way to the function that awaits', () => {
  test('keeps class, message, cause and own properties', () => {
    registerErrorType(PaymentError, Status.PERMANENT_ERROR);
    const original = new PaymentError({ id: 'o-1' });
    original.cause = new TypeError('declined');
    const error = thrown(original);
    expect(error).toBeInstanceOf(PaymentError);
    expect(error.message).toBe('order o-1 was not paid');
    expect(error.order).toEqual({ id: 'o-1' });
    expect(error.at).toEqual(new Date(0));
    expect(error.cause).toBeInstanceOf(TypeError);
    expect(Object.keys(error).sort()).toEqual(['at', 'order']);
  });

  test('is of its class when that is built in or ours', () => {
    expect(thrown(new RangeError('r'))).toBeInstanceOf(RangeError);
    expect(thrown(new TimeoutError('t'))).toBeInstanceOf(TimeoutError);
    expect(packError(new CancelledError('c')).type).toBe('Cancelled');
    expect(thrown(new CancelledError('c'))).toBeInstanceOf(CancelledError);
    expect(thrown(new CancelledError('c')).name).toBe('CancelledError');
    expect(statusOf(thrown(new DispatchError('busy', { status: Status.THROTTLED })))).toBe(Status.THROTTLED);
    const aggregate = thrown(new AggregateError([new TypeError('a'), 5], 'both'));
    expect(aggregate).toBeInstanceOf(AggregateError);
    expect(aggregate.errors).toEqual([new TypeError('a'), 5]);
  });

  test('is an Error of its name when nobody knows its class here', () => {
    class Unheard extends PermanentError {}
    const error = thrown(new Unheard('x'), { status: Status.TEMPORARY_ERROR });
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe('Unheard');
    expect(error.message).toBe('x');
    expect(Object.keys(error)).toEqual([]);
    expect(statusOf(error)).toBe(Status.TEMPORARY_ERROR);
  });

  test('says which function failed and on which attempt, without touching the message', () => {
    const error = thrown(new Error('boom'), { function: 'Bank.charge', attempt: 3, status: Status.PERMANENT_ERROR });
    expect(error.message).toBe('boom');
    expect(failureOf(error)).toEqual({ function: 'Bank.charge', attempt: 3, status: Status.PERMANENT_ERROR });
    expect(error.stack).toMatch(
      /^Error: boom\n {4}at dispatch function Bank\.charge \(attempt 3\)\n {4}at .*values-error\.test/,
    );
    expect(Object.keys(error)).toEqual([]);
  });

  test('gathers a line for every function that it passes', () => {
    const inner = thrown(new Error('boom'), { function: 'child', attempt: 2 });
    const outer = thrown(inner, { function: 'parent', attempt: 1 });
    expect(outer.stack).toMatch(
      /^Error: boom\n.*function parent \(attempt 1\)\n.*function child \(attempt 2\)\n {4}at /,
    );
    expect(outer.stack?.match(/boom/g)).toHaveLength(1);
    expect(failureOf(outer)).toMatchObject({ function: 'parent', attempt: 1 });
  });

  test('keeps a stack of limited length', () => {
    let error = new Error('deep');
    for (let hop = 0; hop < 1000; hop++)
      error = thrown(error, { function: `function${hop}`.padEnd(60, 'x'), attempt: 1 });
    expect(error.stack!.length).toBeLessThan(40_000);
    expect(error.message).toBe('deep');
  });

  test('comes through whatever its properties are', () => {
    const error = Object.assign(new Error('request failed', { cause: () => 1 }), {
      code: 'ERR_BAD_RESPONSE',
      request: { on() {}, socket: {} },
      huge: 'x'.repeat(1_000_000),
      big: 10n,
    });
    Object.defineProperty(error, 'broken', {
      enumerable: true,
      get() {
        throw new Error('getter');
      },
    });
    const back = thrown(error);
    expect(back).toMatchObject({ message: 'request failed', code: 'ERR_BAD_RESPONSE', big: 10n });
    expect(Object.keys(back)).toEqual(['code', 'big']);
    expect('cause' in back).toBe(false);
  });

  test('may be its own cause', () => {
    const error: Error & { self?: unknown } = new Error('again');
    error.cause = error;
    error.self = error;
    const back = thrown(error);
    expect(back.message).toBe('again');
    expect((back.cause as Error).message).toBe('again');
    expect((back.self as Error).message).toBe('again');
  });

  test('is an Error even if something else was thrown, which is its cause then', () => {
    for (const [value, message] of [
      ['text', 'text'],
      [42, '42'],
      [undefined, 'undefined'],
      [null, 'null'],
      [{ message: 'like an error', code: 7 }, 'like an error'],
    ] as const) {
      const error = thrown(value);
      expect(error).toBeInstanceOf(Error);
      expect(error.message).toBe(message);
      expect(error.cause).toEqual(value);
    }
    expect(thrown(Symbol('s')).message).toBe('Symbol(s)');
    expect(thrown(Object.create(null)).message).toBe('something that is no error');
  });

  test('keeps every message that UTF-8 can say', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.jsonValue(), (message, detail) => {
        const error = thrown(Object.assign(new Error(message), { detail }));
        expect(error.message).toBe(message);
        expect(error.detail).toEqual(detail);
        expect(error.stack!.startsWith(message === '' ? 'Error' : `Error: ${message}`)).toBe(true);
      }),
    );
    expect(thrown(new Error('half \ud800')).message).toBe('half \ufffd');
  });

  test('is an Error whatever stands in the way of reading it', () => {
    const traps = { get: () => fail(), has: () => fail(), getPrototypeOf: () => fail(), ownKeys: () => fail() };
    const fail = (): never => {
      throw new Error('trap');
    };
    expect(thrown(new Proxy({}, traps)).message).toBe('something that is no error');
    expect(thrown(new Proxy(new Error('behind'), traps))).toBeInstanceOf(Error);
    const named = Object.assign(new Error('odd'), { name: { toString: null } });
    expect(thrown(named)).toMatchObject({ message: 'odd', name: 'Error' });
  });

  test('sets no prototype', () => {
    const properties = JSON.parse('{"__proto__": {"polluted": 1}, "stack": "forged", "message": "forged"}') as object;
    const error = new Error('real');
    for (const [key, value] of Object.entries(properties)) {
      Object.defineProperty(error, key, { value, enumerable: true, configurable: true, writable: true });
    }
    error.message = 'real';
    const back = thrown(error);
    expect(back).toBeInstanceOf(Error);
    expect(back.message).toBe('real');
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect(Object.getPrototypeOf(back)).toBe(Error.prototype);
  });
});

describe('an error of another language', () => {
  const python = create(ErrorSchema, {
    type: 'ValueError',
    message: 'boom',
    value: Uint8Array.of(0x80, 0x04, 0x95, 0x2c, 0, 0, 0, 0, 0, 0, 0, 0x8c),
    traceback: Buffer.from('Traceback (most recent call last):\n  File "f.py", line 1\nValueError: boom\n'),
  });

  test('has its name, its message and its traceback; its pickle is not looked into', () => {
    const error = unpackError(python, { function: 'charge' });
    expect(error).toMatchObject({ name: 'ValueError', message: 'boom' });
    expect(error.stack).toBe(
      'ValueError: boom\n    at dispatch function charge\n' +
        'Traceback (most recent call last):\n  File "f.py", line 1\nValueError: boom\n',
    );
    expect(failureOf(error)).toEqual({ function: 'charge', attempt: 0 });
  });

  test('may say nothing at all', () => {
    const error = unpackError(create(ErrorSchema));
    expect(error).toBeInstanceOf(Error);
    expect(error.message).toBe('');
    expect(error.stack).toBe('Error');
  });

  test('never makes reading throw', () => {
    const bytes = fc.uint8Array({ maxLength: 80, size: 'max' });
    fc.assert(
      fc.property(fc.string(), fc.string(), bytes, bytes, (type, message, value, traceback) => {
        const error = unpackError(create(ErrorSchema, { type, message, value, traceback }));
        expect(error).toBeInstanceOf(Error);
        expect(error.message).toBe(message);
      }),
      { numRuns: 1000 },
    );
    const odd = toBinary(
      ErrorValueSchema,
      create(ErrorValueSchema, {
        cause: { typeUrl: 'x/unknown.Type', value: Uint8Array.of(1) },
        attempt: 2,
        status: 99,
      }),
    );
    expect(failureOf(unpackError(create(ErrorSchema, { type: 'E', value: odd })))).toEqual({
      function: '',
      attempt: 2,
    });
  });
});
