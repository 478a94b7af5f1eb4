import { create, toBinary, toJsonString, type MessageInitShape } from '@bufbuild/protobuf';
import { AnySchema, timestampFromMs, type Any } from '@bufbuild/protobuf/wkt';
import { RunRequestSchema, type RunRequest } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';
import { messageTypes, pack, packArguments, packError } from '../../lib/values/index.js';
import { mutate, nestedGroups, nestedValue, varint } from './mutations.js';
import type { Random } from './random.js';

export const FUNCTIONS = ['echo', 'fan', 'steps', 'wait', 'fail', 'merge'] as const;

const GRAPH = 'type.googleapis.com/nestjs_dispatch.v1.Graph';
const VALUE = 'type.googleapis.com/google.protobuf.Value';
const KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'then',
  'toJSON',
  '$typeName',
  'length',
  '',
] as const;

const TYPE_URLS: readonly [string, ...string[]] = [
  '',
  ...Array.from(messageTypes, (type) => `type.googleapis.com/${type.typeName}`),
  VALUE,
  GRAPH,
  'buf.build/stealthrocket/dispatch-proto/dispatch.sdk.python.v1.Pickled',
  'google.protobuf.StringValue',
  'type.googleapis.com/',
  'type.googleapis.com/__proto__',
  'type.googleapis.com/nobody.Knows',
];

const any = (typeUrl: string, value: Uint8Array): Any => create(AnySchema, { typeUrl, value });

/** A StringValue with that text in it, but under another type. */
const text = (content: string): Uint8Array => {
  const bytes = Buffer.from(content);
  return new Uint8Array([0x0a, ...varint(bytes.length), ...bytes]);
};

/** Value { struct_value: { fields: [{ key, value: { struct_value: { polluted: true } } }] } } */
function polluting(key: string): Uint8Array {
  const entry = (name: string, value: readonly number[]): number[] => {
    const bytes = [...Buffer.from(name)];
    const content = [0x0a, ...varint(bytes.length), ...bytes, 0x12, ...varint(value.length), ...value];
    return [0x0a, ...varint(content.length), ...content];
  };
  const struct = (fields: readonly number[]): number[] => [0x2a, ...varint(fields.length), ...fields];
  return Uint8Array.from(struct(entry(key, struct(entry('polluted', [0x20, 0x01])))));
}

const nothing = { x: undefined, date: new Date(0), map: new Map<unknown, unknown>([[1, new Set(['a'])]]) };
const cycle: Record<string, unknown> = { ...nothing, bytes: Buffer.from('bytes'), big: 2n ** 80n };
cycle['self'] = cycle;

const plain: readonly Any[] = [
  ...[undefined, null, true, 0, -1, 2 ** 53 - 1, 0.5, NaN, 'text', 'ümläut 💡', Buffer.from([0, 255]), new Date(0)],
  ...[[], {}, { a: [1, { b: 'c' }] }, cycle, new TypeError('thrown', { cause: cycle }), /(a+)+$/, new URL('http://x/')],
  create(AnySchema, pack('inner')),
].map((value) => pack(value));

const hostile: readonly Any[] = [
  ...KEYS.map((key) => any(VALUE, polluting(key))),
  ...KEYS.map((key) => any(GRAPH, text(JSON.stringify([{ [key]: 1 }, { polluted: 2 }, true])))),
  ...KEYS.map((key) => any(GRAPH, text(`[["Error",1],{"type":2,"message":2,"properties":3},"x",{"${key}":2}]`))),
  ...[1, 30, 100, 999, 1001, 5000].map((depth) => any(VALUE, nestedValue(depth))),
  ...[1, 99, 101, 5000].map((depth) => any(VALUE, nestedGroups(depth))),
  any(GRAPH, text('[["Array",4294967295]]')),
  any(GRAPH, text('[[-7,4294967295,0,1]]')),
  any(GRAPH, text('[["BigInt","-"]]')),
  any(GRAPH, text('[["Date","never"],["RegExp","("]]')),
  any(GRAPH, text('[["Uint8Array","AAAA====="]]')),
  any(GRAPH, text('[["Message",1],["google.protobuf.Any",2],["Uint8Array","/////w8="]]')),
  any(GRAPH, text(`[${Array.from({ length: 5000 }, (_, index) => `[${index + 1}]`).join()},0]`)),
  any(GRAPH, text('['.repeat(5000))),
  any(GRAPH, text('[0]')),
];

/** Small, and endless when written out as JSON: shared arrays in shared arrays. It takes its time, so it is sent once. */
export const unfolding = (): RunRequest =>
  withInput(
    'echo',
    any(GRAPH, text(`[${Array.from({ length: 40 }, (_, level) => `[${level + 1},${level + 1}]`).join()},0]`)),
  );

type RunInit = Exclude<MessageInitShape<typeof RunRequestSchema>, RunRequest>;

const run = (name: string, directive: RunInit['directive']): RunRequest =>
  create(RunRequestSchema, {
    function: name,
    dispatchId: 'id',
    creationTime: timestampFromMs(0),
    expirationTime: timestampFromMs(1e12),
    directive,
  });

const withInput = (name: string, value: Any): RunRequest => run(name, { case: 'input', value });

/**
 * Requests to begin with: honest ones, and such as are hostile by what they hold.
 *
 * @param states of functions that are suspended, so that resumes are mutated as well
 */
export function requests(
  states: readonly { name: string; state: Uint8Array }[],
): readonly [RunRequest, ...RunRequest[]] {
  const error = packError(new Error('child', { cause: cycle }));
  const results = [1n, 2n, 2n ** 32n + 1n, 2n ** 32n + 2n, 2n ** 64n - 1n].map((correlationId, index) =>
    index % 2 === 0 ? { correlationId, output: pack({ index }) } : { correlationId, error },
  );
  return [
    withInput('echo', pack('first')),
    ...plain.map((value) => withInput('echo', value)),
    ...plain.map((value) => withInput('merge', value)),
    ...hostile.map((value) => withInput('echo', value)),
    ...hostile.map((value) => withInput('merge', value)),
    ...FUNCTIONS.map((name) => withInput(name, packArguments([1, cycle, 'three']))),
    ...FUNCTIONS.map((name) => run(name, { case: 'pollResult', value: { results } })),
    ...states.flatMap(({ name, state }) => [
      run(name, { case: 'pollResult', value: { state: { case: 'coroutineState', value: state } } }),
      run(name, { case: 'pollResult', value: { state: { case: 'coroutineState', value: state }, results, error } }),
      run(name, { case: 'pollResult', value: { state: { case: 'typedCoroutineState', value: pack(1) }, results } }),
    ]),
    withInput('__proto__', pack(1)),
    withInput('constructor', pack(1)),
  ];
}

export const asBinary = (request: RunRequest): Uint8Array => toBinary(RunRequestSchema, request);

/** As proto3 JSON; undefined for what it cannot say. */
export function asJson(request: RunRequest): Uint8Array | undefined {
  try {
    return Buffer.from(toJsonString(RunRequestSchema, request, { registry: messageTypes }));
  } catch {
    return undefined;
  }
}

/** JSON that no encoder would write. */
export const ODD_JSON: readonly [string, ...string[]] = [
  '',
  'null',
  '[]',
  '"text"',
  '{',
  '{"function":"echo","function":"echo"}',
  '{"function":"echo","__proto__":{"polluted":true},"input":{"@type":"type.googleapis.com/google.protobuf.Empty"}}',
  '{"function":"merge","input":{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}}}',
  '{"function":"echo","input":{"@type":"type.googleapis.com/nobody.Knows","value":1}}',
  '{"function":"echo","input":{"@type":"type.googleapis.com/google.protobuf.Any","value":{}}}',
  '{"function":"echo","input":{"@type":"type.googleapis.com/google.protobuf.Int64Value","value":"99999999999999999999999"}}',
  '{"function":"echo","input":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1e999s"}}',
  '{"function":"echo","input":{"@type":"type.googleapis.com/google.protobuf.BytesValue","value":"%%%"}}',
  '{"function":"echo","input":{"@type":"type.googleapis.com/google.protobuf.StringValue","value":"\\ud800"}}',
  `{"function":"echo","input":{"@type":"type.googleapis.com/google.protobuf.ListValue","value":${'['.repeat(50)}${']'.repeat(50)}}}`,
  `{"function":"echo","input":{"@type":"type.googleapis.com/google.protobuf.ListValue","value":${'['.repeat(5000)}${']'.repeat(5000)}}}`,
  `{"function":"echo","input":${'{"@type":"type.googleapis.com/google.protobuf.Any","value":'.repeat(1000)}1${'}'.repeat(1000)}}`,
];

/** Changes what is deep inside, which changes of the whole message hardly reach: an input, its type, a state, an output. */
export function changedInside(request: RunRequest, other: Uint8Array, random: Random): RunRequest {
  const { directive } = request;
  const changed = (bytes: Uint8Array): Uint8Array => mutate(bytes, other, random).bytes;
  switch (directive.case) {
    case 'input': {
      const { typeUrl, value } = directive.value;
      const input = random.chance(0.3) ? any(random.pick(TYPE_URLS), value) : any(typeUrl, changed(value));
      return { ...request, directive: { case: 'input', value: input } };
    }
    case 'pollResult': {
      const { state, results } = directive.value;
      const value = {
        ...directive.value,
        state: state.case === 'coroutineState' ? { ...state, value: changed(state.value) } : state,
        results: results.map((result) => ({
          ...result,
          output: result.output && any(result.output.typeUrl, changed(result.output.value)),
          error: result.error && { ...result.error, value: changed(result.error.value) },
        })),
      };
      return { ...request, directive: { case: 'pollResult', value } };
    }
    case undefined:
      return request;
  }
}
