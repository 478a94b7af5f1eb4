import { describe, expect, test } from '@jest/globals';
import { createRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as proto from '../../lib/proto.js';
import { unpack } from '../../lib/values/index.js';
import { fromBase64, toBase64, vectors } from './vectors.js';

type Vectors = Record<string, { message: string; base64: string; fields: string }>;

const registry = createRegistry(proto.file_dispatch_sdk_v1_function, proto.file_dispatch_sdk_v1_dispatch);
const all = vectors<Vectors>('messages.json');

function read<T extends proto.RunRequest | proto.RunResponse | proto.DispatchRequest>(name: string): T {
  const { message, base64 } = all[name]!;
  return fromBinary(registry.getMessage(message)!, fromBase64(base64)) as T;
}

describe('messages that the Python protobuf runtime serialized', () => {
  for (const [name, { message, base64 }] of Object.entries(all)) {
    test(`${name} is read and written back byte for byte`, () => {
      const schema = registry.getMessage(message)!;
      expect(toBase64(toBinary(schema, fromBinary(schema, fromBase64(base64))))).toBe(base64);
    });
  }

  test('the fields of a first run are where they belong', () => {
    const request = read<proto.RunRequest>('run_request_first');
    expect(request).toMatchObject({ function: 'Greeter.greet', dispatchId: 'id-1', rootDispatchId: 'id-1' });
    expect(request.directive.case).toBe('input');
    expect(request.directive.case === 'input' && unpack(request.directive.value)).toBe('World');
    expect(request.creationTime).toMatchObject({ seconds: 1_700_000_000n, nanos: 5000 });
  });

  test('the results of a resume are where they belong', () => {
    const { directive } = read<proto.RunRequest>('run_request_resume');
    if (directive.case !== 'pollResult') throw new Error('no poll result');
    expect(directive.value.state.case).toBe('typedCoroutineState');
    expect(directive.value.results.map((result) => [result.correlationId, result.dispatchId])).toEqual([
      [1_099_511_627_783n, 'id-2'],
      [3n, 'id-3'],
    ]);
    expect(unpack(directive.value.results[0]?.output)).toEqual([1, 'x', null]);
    expect(directive.value.results[1]?.error).toMatchObject({ type: 'ValueError', message: 'boom' });
  });

  test('the status and the error of an exit are where they belong', () => {
    const response = read<proto.RunResponse>('run_response_error');
    expect(response.status).toBe(proto.Status.TEMPORARY_ERROR);
    if (response.directive.case !== 'exit') throw new Error('no exit');
    expect(response.directive.value.result?.error).toMatchObject({ type: 'TemporaryError', message: 'later' });
  });
});
