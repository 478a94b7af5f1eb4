import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyPack, EmptySchema, StringValueSchema } from '@bufbuild/protobuf/wkt';
import {
  FunctionEndpoint,
  verifierOf,
  type EndpointRequest,
  type EndpointResponse,
  type FunctionEndpointOptions,
} from '../../lib/endpoint/index.js';
import { Status } from '../../lib/errors/index.js';
import { RunRequestSchema, RunResponseSchema, type RunRequest } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';

const PATH = '/dispatch.sdk.v1.FunctionService/Run';
const input = anyPack(EmptySchema, create(EmptySchema));
const runRequest = create(RunRequestSchema, { function: 'echo', directive: { case: 'input', value: input } });
const bytes = toBinary(RunRequestSchema, runRequest);

function endpointThat(run: (request: RunRequest) => unknown, options: Partial<FunctionEndpointOptions> = {}) {
  const logged: string[] = [];
  const endpoint = new FunctionEndpoint({
    runner: {
      run: async (request) => {
        run(request);
        const output = anyPack(StringValueSchema, create(StringValueSchema, { value: request.function }));
        return {
          response: create(RunResponseSchema, {
            status: Status.OK,
            directive: { case: 'exit', value: { result: { output } } },
          }),
        };
      },
    },
    functions: { get: (name) => (name === 'echo' ? { name, version: '', invoke: async () => undefined } : undefined) },
    open: true,
    maxBodyBytes: 16_000_000,
    log: { error: (message) => logged.push(message) },
    ...options,
  });
  return { endpoint, logged };
}

function post(body: Uint8Array, headers: Record<string, string | undefined> = {}): EndpointRequest {
  return {
    method: 'POST',
    procedure: PATH,
    target: PATH,
    headers: { 'content-type': 'application/proto', 'content-length': String(body.length), ...headers },
    read: async () => body,
  };
}

const errorOf = (response: EndpointResponse): unknown => {
  expect(response.headers['content-type']).toBe('application/json');
  return JSON.parse(Buffer.from(response.body).toString());
};

describe('the endpoint', () => {
  it.each(['application/proto', 'application/octet-stream', undefined, ''])(
    'reads binary under the content type %s and answers application/proto',
    async (type) => {
      const { endpoint } = endpointThat(() => undefined);
      const response = await endpoint.handle(post(bytes, { 'content-type': type }));
      expect(response).toMatchObject({ status: 200, headers: { 'content-type': 'application/proto' } });
      expect(fromBinary(RunResponseSchema, response.body).status).toBe(Status.OK);
    },
  );

  it('reads and answers proto3 JSON, and ignores fields it does not know', async () => {
    const { endpoint } = endpointThat(() => undefined);
    const body = Buffer.from(
      JSON.stringify({ function: 'echo', newer: 1, input: { '@type': 'type.googleapis.com/google.protobuf.Empty' } }),
    );
    const response = await endpoint.handle(post(body, { 'content-type': 'application/json; charset=utf-8' }));
    expect(response).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } });
    expect(JSON.parse(Buffer.from(response.body).toString())).toEqual({
      status: 'STATUS_OK',
      exit: { result: { output: { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: 'echo' } } },
    });
  });

  it.each([undefined, '0', 'many', '-1'])('wants a content length (%s)', async (length) => {
    const { endpoint } = endpointThat(() => undefined);
    const response = await endpoint.handle(post(bytes, { 'content-length': length }));
    expect(response.status).toBe(400);
    expect(errorOf(response)).toEqual({ code: 'invalid_argument', message: 'content length is required' });
  });

  it('refuses more than 16,000,000 bytes without reading them', async () => {
    const { endpoint } = endpointThat(() => undefined);
    const read = async (): Promise<Uint8Array> => {
      throw new Error('the body was read');
    };
    const response = await endpoint.handle({ ...post(bytes, { 'content-length': '16000001' }), read });
    expect(response.status).toBe(400);
    expect(errorOf(response)).toEqual({ code: 'invalid_argument', message: 'content length is too large' });
  });

  it.each([
    [
      'no function',
      create(RunRequestSchema, { directive: { case: 'input', value: input } }),
      400,
      'function is required',
    ],
    ['an unknown function', create(RunRequestSchema, { function: 'nope' }), 404, "function 'nope' does not exist"],
    [
      'neither input nor results',
      create(RunRequestSchema, { function: 'echo' }),
      400,
      'input or poll_result is required',
    ],
  ])('refuses a request with %s', async (_what, request, status, message) => {
    const { endpoint } = endpointThat(() => undefined);
    const body = toBinary(RunRequestSchema, request);
    const response = await endpoint.handle(post(body.length === 0 ? Buffer.from([8]) : body));
    expect(response.status).toBe(status);
    expect(errorOf(response)).toMatchObject({ message });
  });

  it.each([
    ['text', Buffer.from('hello world'), 'application/proto'],
    ['bytes', Buffer.from([255, 255, 255]), 'application/proto'],
    ['broken JSON', Buffer.from('{"function":'), 'application/json'],
    ['JSON of another kind', Buffer.from('[]'), 'application/json'],
    ['JSON that is no UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'application/json'],
    ['another content type', Buffer.from(bytes), 'text/plain'],
  ])('refuses %s', async (_what, body, type) => {
    const { endpoint } = endpointThat(() => undefined);
    const response = await endpoint.handle(post(body, { 'content-type': type }));
    expect(response.status).toBe(400);
    expect(errorOf(response)).toMatchObject({ code: 'invalid_argument' });
  });

  it('refuses a compressed body', async () => {
    const { endpoint } = endpointThat(() => undefined);
    const response = await endpoint.handle(post(bytes, { 'content-encoding': 'gzip' }));
    expect(response.status).toBe(400);
  });

  it.each([
    ['another method of the service', { procedure: '/dispatch.sdk.v1.FunctionService/Walk' }],
    ['GET', { method: 'GET' }],
  ])('does not know %s', async (_what, changes) => {
    const { endpoint } = endpointThat(() => undefined);
    const response = await endpoint.handle({ ...post(bytes), ...changes });
    expect(response.status).toBe(404);
    expect(errorOf(response)).toMatchObject({ code: 'not_found' });
  });

  it('is not there when it is closed', async () => {
    const { endpoint } = endpointThat(() => undefined, { open: false });
    expect((await endpoint.handle(post(bytes))).status).toBe(404);
  });

  it('tells neither the answer nor the log what an error of the runtime says', async () => {
    const { endpoint, logged } = endpointThat(() => {
      throw new TypeError('card number 4711');
    });
    const response = await endpoint.handle(post(bytes));
    expect(response.status).toBe(500);
    expect(errorOf(response)).toEqual({ code: 'internal', message: 'internal error' });
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain('TypeError');
    expect(logged[0]).not.toContain('4711');
  });

  it.each<[string, Record<string, string>, number]>([
    ['another origin', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }, 403],
    ['another port of the machine', { 'sec-fetch-site': 'same-site', origin: 'http://localhost:8080' }, 403],
    ['another origin, to plain HTTP', { origin: 'http://evil.example' }, 403],
    ['no origin at all', { origin: 'null' }, 403],
    ['the application itself', { 'sec-fetch-site': 'same-origin', origin: 'http://localhost:3000' }, 200],
    ['the application itself, to plain HTTP', { origin: 'http://localhost:3000' }, 200],
    ['nobody: a client of HTTP', { 'sec-fetch-mode': 'cors' }, 200],
  ])('that is not verified answers a browser that asks for a page of %s', async (_what, headers, status) => {
    const { endpoint } = endpointThat(() => undefined);
    // Pages can send bytes without a content type to wherever they like.
    const request = post(bytes, { host: 'localhost:3000', 'content-type': undefined, ...headers });
    const response = await endpoint.handle(request);
    expect(response.status).toBe(status);
    if (status === 403) expect(errorOf(response)).toMatchObject({ code: 'permission_denied' });
  });

  it('runs nothing for a request whose body comes when its time is over', async () => {
    let runs = 0;
    const { endpoint } = endpointThat(() => runs++);
    let arrive: (body: Uint8Array) => void = () => undefined;
    const arrived = new Promise<Uint8Array>((resolve) => (arrive = resolve));
    const read = (): Promise<Uint8Array> => arrived;
    const response = await endpoint.handle({ ...post(bytes, { 'connect-timeout-ms': '1' }), read });
    expect(response.status).toBe(408);
    arrive(bytes);
    await new Promise((resolve) => setImmediate(resolve));
    expect(runs).toBe(0);
  });

  it('reports each answer of a function', async () => {
    const seen: [string, Status][] = [];
    const { endpoint } = endpointThat(() => undefined, {
      onRun: (request, response) => seen.push([request.function, response.status]),
    });
    await endpoint.handle(post(bytes));
    expect(seen).toEqual([['echo', Status.OK]]);
  });
});

interface SignatureVector {
  name: string;
  method: string;
  url: string;
  headers: Record<string, string>;
  body_base64: string;
  now: number;
  /** null: either is fine. */
  valid: boolean | null;
  http_status: number | null;
}

describe('the endpoint with a verification key', () => {
  const { key, vectors } = JSON.parse(readFileSync('test/vectors/signatures.json', 'utf8')) as {
    key: { public_base64: string };
    vectors: SignatureVector[];
  };

  it('has vectors', () => expect(vectors.length).toBeGreaterThan(5));

  const inBody = 'body changed after signing';
  const refusedByHead = vectors.filter(({ name, valid }) => valid === false && name !== inBody);

  it.each(refusedByHead.map((vector) => [vector.name, vector] as const))(
    'reads no body for: %s',
    async (_name, vector) => {
      const { status, wasRead } = await judge(vector);
      expect([401, 403]).toContain(status);
      expect(wasRead).toBe(false);
    },
  );

  it('reads the body that is not the one that was signed', async () => {
    const changed = vectors.find(({ name }) => name === inBody);
    expect(changed && (await judge(changed))).toEqual({ status: 403, wasRead: true });
  });

  it.each(vectors.map((vector) => [vector.name, vector] as const))('judges: %s', async (_name, vector) => {
    const { status } = await judge(vector);
    const refused = status === 401 || status === 403;
    if (vector.valid !== null) expect(refused).toBe(!vector.valid);
    if (vector.valid === false && vector.http_status !== null) expect(status).toBe(vector.http_status);
  });

  async function judge(vector: SignatureVector): Promise<{ status: number; wasRead: boolean }> {
    const verify = verifierOf({ value: key.public_base64, source: 'the key' }, { now: () => vector.now * 1000 });
    const { endpoint } = endpointThat(() => undefined, { verify });
    const headers = Object.fromEntries(
      Object.entries(vector.headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
    const url = new URL(vector.url);
    const body = Buffer.from(vector.body_base64, 'base64');
    let wasRead = false;
    const { status } = await endpoint.handle({
      method: vector.method,
      procedure: PATH,
      target: url.pathname + url.search,
      headers: { host: url.host, ...headers, 'content-length': String(Math.max(1, body.length)) },
      read: async () => {
        wasRead = true;
        return body;
      },
    });
    return { status, wasRead };
  }
});
