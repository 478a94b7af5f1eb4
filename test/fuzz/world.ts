import { fromBinary } from '@bufbuild/protobuf';
import { call, CoroutineRuntime, sleep, step } from '../../lib/coroutine/index.js';
import { FunctionEndpoint, type EndpointRequest, type RequestVerifier } from '../../lib/endpoint/index.js';
import { Status } from '../../lib/errors/index.js';
import { RunResponseSchema } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';
import type { Alarm, Clock } from '../../lib/protocol/index.js';
import { asBinary, requests, FUNCTIONS } from './corpus.js';

export const PATH = '/dispatch.sdk.v1.FunctionService/Run';

/** A clock on which nobody waits: an alarm rings in one of the next turns. */
class HastyClock implements Clock {
  private time = Date.UTC(2030, 0, 1);

  now(): number {
    return this.time;
  }

  at(time: number, callback: () => void): Alarm {
    const timer = setTimeout(() => {
      this.time = Math.max(this.time, time);
      callback();
    }, 0);
    return { cancel: () => clearTimeout(timer) };
  }

  defer(callback: () => void): void {
    setImmediate(callback);
  }
}

const remote = (name: string, input: unknown) => call({ endpoint: 'http://elsewhere', function: name, input });

/** Merges as careless applications do. */
function merge(target: Record<string, unknown>, source: unknown): Record<string, unknown> {
  if (typeof source === 'object' && source !== null) Object.assign(target, source);
  return target;
}

const CODE: Readonly<Record<(typeof FUNCTIONS)[number], (...args: unknown[]) => Promise<unknown>>> = {
  echo: async (...args) => (args.length < 2 ? args[0] : args),
  fan: async (input) => Promise.all([remote('a', input), remote('b', 1), remote('c', [input])]),
  steps: async (input) => [await step(() => 1), await remote('a', input), await step(() => 2)],
  wait: async () => sleep('7d'),
  fail: async (...args) => {
    throw Object.assign(new Error('failed'), { args });
  },
  merge: async (input) => merge({}, input),
};

export interface World {
  readonly endpoint: FunctionEndpoint;
  readonly runtime: CoroutineRuntime;
  /** What the endpoint had to say about itself. */
  readonly errors: string[];
}

/** An endpoint with functions of every kind, without a server. */
export function createWorld(verify?: RequestVerifier): World {
  const errors: string[] = [];
  const functions = {
    get: (name: string) => {
      const known = FUNCTIONS.find((one) => one === name);
      return known === undefined
        ? undefined
        : { name: known, version: '', invoke: (args: readonly unknown[]) => CODE[known](...args) };
    },
  };
  const quiet = () => undefined;
  const runtime = new CoroutineRuntime({
    functions,
    clock: new HastyClock(),
    log: { debug: quiet, warn: quiet, error: (message) => errors.push(message) },
    maxLive: 100,
  });
  const endpoint = new FunctionEndpoint({
    runner: runtime,
    functions,
    open: true,
    verify,
    maxBodyBytes: 16_000_000,
    log: { error: (message) => errors.push(message) },
  });
  return { endpoint, runtime, errors };
}

export function post(body: Uint8Array, headers: Record<string, string | undefined> = {}): EndpointRequest {
  return {
    method: 'POST',
    procedure: PATH,
    target: PATH,
    headers: { 'content-type': 'application/proto', 'content-length': String(body.length), ...headers },
    read: async () => body,
  };
}

/** The states of functions that are suspended, as a scheduler has them. */
export async function suspendedStates({ endpoint }: World): Promise<{ name: string; state: Uint8Array }[]> {
  const states: { name: string; state: Uint8Array }[] = [];
  for (const request of requests([])) {
    if (request.directive.case !== 'input' || !['fan', 'steps', 'wait'].includes(request.function)) continue;
    const { body, status } = await endpoint.handle(post(asBinary(request)));
    if (status !== 200) continue;
    const { directive } = fromBinary(RunResponseSchema, body);
    if (directive.case !== 'poll' || directive.value.state.case !== 'coroutineState') continue;
    states.push({ name: request.function, state: directive.value.state.value });
  }
  return states;
}

const CODES: ReadonlyMap<number, string> = new Map([
  [400, 'invalid_argument'],
  [401, 'unauthenticated'],
  [403, 'permission_denied'],
  [404, 'not_found'],
  [408, 'deadline_exceeded'],
]);

/** Names the answer: `200 OK`, `400 invalid_argument`. @throws Error when the protocol does not know it */
export function nameOfAnswer(status: number, contentType: string | undefined, body: Uint8Array): string {
  if (status !== 200) {
    const { code, message } = JSON.parse(Buffer.from(body).toString()) as { code: unknown; message: unknown };
    if (code !== CODES.get(status) || typeof message !== 'string' || contentType !== 'application/json') {
      throw new Error(`HTTP status ${status} came with the code ${String(code)}`);
    }
    return `${status} ${String(code)}`;
  }
  if (contentType === 'application/json') {
    const response = JSON.parse(Buffer.from(body).toString()) as { status: unknown };
    return `200 ${String(response.status).replace('STATUS_', '')}`;
  }
  const response = fromBinary(RunResponseSchema, body);
  if (response.directive.case === undefined) throw new Error('a RunResponse without a directive');
  return `200 ${Status[response.status]}`;
}
