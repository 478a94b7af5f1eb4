/**
 * What the signature of a request costs beside the rest of its handling: the endpoint without and with a verification
 * key, an empty function, bodies of several sizes.
 *
 *     node --import ./test/support/ts-loader.mjs test/bench/endpoint.bench.ts
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { CoroutineRuntime } from '../../lib/coroutine/index.js';
import { FunctionEndpoint, verifierOf, type EndpointRequest, type RequestVerifier } from '../../lib/endpoint/index.js';
import { RunRequestSchema } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';
import { SystemClock } from '../../lib/protocol/index.js';
import { generateKeyPair, parsePrivateKey, signRequest } from '../../lib/signature/index.js';
import { pack } from '../../lib/values/index.js';

const ROUNDS = 500;
const PATH = '/dispatch.sdk.v1.FunctionService/Run';

const keys = generateKeyPair();
const verify = verifierOf({ value: keys.publicKey, source: 'the key' }, { now: () => Date.now() });
const noop = { name: 'noop', version: '', invoke: async () => undefined };
const functions = { get: () => noop };
const quiet = () => undefined;
const log = { debug: quiet, warn: quiet, error: console.error };
const runner = new CoroutineRuntime({ functions, clock: new SystemClock(), log });

const endpointThat = (verifier: RequestVerifier | undefined): FunctionEndpoint =>
  new FunctionEndpoint({ runner, functions, open: true, verify: verifier, maxBodyBytes: 16_000_000, log });

function requestOf(size: number): EndpointRequest {
  const input = pack(new Uint8Array(size));
  const directive = { case: 'input', value: input } as const;
  const body = toBinary(RunRequestSchema, create(RunRequestSchema, { function: 'noop', directive }));
  const headers = { 'content-type': 'application/proto' };
  const key = parsePrivateKey(keys.privateKey, 'the key');
  const signature = signRequest({ method: 'POST', url: `http://service${PATH}`, headers, body }, key);
  return {
    method: 'POST',
    procedure: PATH,
    target: PATH,
    headers: { host: 'service', ...headers, ...signature, 'content-length': String(body.length) },
    read: async () => body,
  };
}

/** µs for one request. */
async function measure(endpoint: FunctionEndpoint, request: EndpointRequest, rounds: number): Promise<number> {
  for (let round = 0; round < rounds / 5; round++) await endpoint.handle(request);
  const start = performance.now();
  for (let round = 0; round < rounds; round++) {
    const { status } = await endpoint.handle(request);
    if (status !== 200) throw new Error(`HTTP status ${status}`);
  }
  return ((performance.now() - start) / rounds) * 1000;
}

console.log('input       handling   verified   verification');
for (const size of [10, 10_000, 1_000_000, 15_000_000]) {
  const request = requestOf(size);
  const rounds = Math.max(3, Math.min(ROUNDS, 20_000_000 / size));
  let [plain, verified] = [Infinity, Infinity];
  // The best of several, in turns: what else the machine does is not what is measured.
  for (let turn = 0; turn < 8; turn++) {
    plain = Math.min(plain, await measure(endpointThat(undefined), request, rounds));
    verified = Math.min(verified, await measure(endpointThat(verify), request, rounds));
  }
  const columns = [plain, verified, verified - plain].map((each) => `${each.toFixed(0)} µs`.padStart(11));
  console.log(`${size.toLocaleString('en-US').padEnd(10)}${columns.join('')}`);
}
runner.close();
