import { describe, expect, it } from '@jest/globals';
import { create, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { CallResultSchema } from '../../lib/gen/dispatch/sdk/v1/call_pb.js';
import { ErrorSchema } from '../../lib/gen/dispatch/sdk/v1/error_pb.js';
import { JournalSchema, RoundSchema } from '../../lib/gen/nestjs_dispatch/v1/journal_pb.js';
import { encodeRounds } from '../../lib/coroutine/journal-encoding.js';
import { encodeAny, encodeResult } from '../../lib/protocol/encoding.js';

const text = fc.string({ unit: 'binary', maxLength: 300 });
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.nat(40_000).map((length) => new Uint8Array(length).fill(7)),
);
const any = fc.record({ typeUrl: text, value: bytes }).map((init) => create(AnySchema, init));
const error = fc
  .record({ type: text, message: text, value: bytes, traceback: bytes })
  .map((init) => create(ErrorSchema, init));
const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
const result = fc
  .record({
    correlationId: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    output: optional(any),
    error: optional(error),
    dispatchId: text,
  })
  .map((init) => create(CallResultSchema, init));
const small = fc.nat(2 ** 31 - 1);
const time = fc.nat(2 ** 50).map(BigInt);
const kind = fc.oneof(
  fc.record({ function: text, inputKey: bytes, endpoint: text }).map((value) => ({ case: 'call' as const, value })),
  fc
    .record({ duration: fc.double({ min: 0, noNaN: true }), deadline: time })
    .map((value) => ({ case: 'timer' as const, value })),
  text.map((name) => ({ case: 'step' as const, value: { name } })),
);
const delivery = fc.record({
  time,
  results: fc.array(result, { maxLength: 4 }),
  timers: fc.array(small),
  steps: fc.array(fc.record({ sequence: small, output: optional(any), error: optional(error) }), { maxLength: 3 }),
  cancelled: fc.boolean(),
});
const round = fc
  .record({
    delivery: optional(delivery),
    operations: fc.array(fc.record({ sequence: small, kind, prompt: fc.boolean(), beforeDelivery: fc.boolean() }), {
      maxLength: 5,
    }),
  })
  .map((init) => create(RoundSchema, init));
const unknown = [{ no: 99, wireType: 0, data: Uint8Array.of(1) }];

describe('The encoding by hand is the one of protobuf', () => {
  it('for inputs', () => {
    fc.assert(fc.property(any, (value) => Buffer.from(toBinary(AnySchema, value)).equals(encodeAny(value))));
  });

  it('for results', () => {
    fc.assert(
      fc.property(result, (value) => Buffer.from(toBinary(CallResultSchema, value)).equals(encodeResult(value))),
    );
  });

  it('for the rounds of a journal', () => {
    fc.assert(
      fc.property(fc.array(round, { maxLength: 3 }), text, (rounds, version) =>
        Buffer.from(toBinary(JournalSchema, create(JournalSchema, { rounds, version }))).equals(
          encodeRounds(rounds, version),
        ),
      ),
    );
  });

  it('for messages with fields that are not known here', () => {
    const input = create(AnySchema, { typeUrl: 'a', value: Uint8Array.of(1) });
    input.$unknown = unknown;
    expect(encodeAny(input)).toEqual(toBinary(AnySchema, input));
    const output = create(CallResultSchema, { output: input });
    expect(encodeResult(output)).toEqual(toBinary(CallResultSchema, output));
    const whole = create(CallResultSchema);
    whole.$unknown = unknown;
    expect(encodeResult(whole)).toEqual(toBinary(CallResultSchema, whole));
  });
});
