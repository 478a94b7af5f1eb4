import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { ConfigurationError, DispatchClient, DispatchModule, Status, UnauthenticatedError } from '../../lib/index.js';
import { DispatchRequestSchema, DispatchResponseSchema } from '../../lib/proto.js';
import { DispatchServer, DispatchService, EndpointClient, generateKeyPair, pack } from '../../lib/testing/index.js';
import { Maths } from './functions.js';

const PATH = '/dispatch.sdk.v1.DispatchService/Dispatch';
const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  jest.restoreAllMocks();
});

async function serve(apiKey = 'the key') {
  const service = new DispatchService({ run: () => Promise.reject(new Error('unused')) }, { apiKey });
  const server = new DispatchServer(service);
  await server.start();
  cleanups.push(() => server.stop());
  const post = (body: string | Uint8Array<ArrayBuffer>, type: string, headers: Record<string, string> = {}) =>
    fetch(server.url + PATH, {
      method: 'POST',
      body,
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': type, ...headers },
    });
  return { service, server, post };
}

const binary = (): Uint8Array<ArrayBuffer> =>
  new Uint8Array(
    toBinary(
      DispatchRequestSchema,
      create(DispatchRequestSchema, { calls: [{ endpoint: 'http://a', function: 'f', input: pack(1) }] }),
    ),
  );

describe('a dispatch server', () => {
  it('has an address while it listens', async () => {
    const { server } = await serve();
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    await server.start();
    await server.stop();
    expect(() => server.url).toThrow(ConfigurationError);
    await server.stop();
  });

  it('listens where it is told to, and says so when it cannot', async () => {
    const { server } = await serve();
    const port = Number(new URL(server.url).port);
    const second = new DispatchServer(
      { dispatch: () => Promise.reject(new Error('unused')) },
      { hostname: 'localhost', port: 0 },
    );
    await second.start();
    cleanups.push(() => second.stop());
    expect(second.url).toMatch(/^http:\/\/localhost:\d+$/);
    await expect(
      new DispatchServer({ dispatch: () => Promise.reject(new Error('unused')) }, { port }).start(),
    ).rejects.toThrow('EADDRINUSE');
  });

  it.each(['application/proto', 'application/octet-stream'])('takes binary calls as %s', async (type) => {
    const { service, post } = await serve();
    const response = await post(binary(), type);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/proto');
    const { dispatchIds } = fromBinary(DispatchResponseSchema, new Uint8Array(await response.arrayBuffer()));
    expect(service.queue.map(({ dispatchId }) => dispatchId)).toEqual(dispatchIds);
  });

  it('takes JSON and answers with it', async () => {
    const { service, post } = await serve();
    const input = { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: 'hi' };
    const response = await post(
      JSON.stringify({ calls: [{ endpoint: 'http://a', function: 'f', input }] }),
      'application/json; charset=utf-8',
    );
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ dispatchIds: [service.queue[0]?.dispatchId] });
  });

  it.each([
    ['a wrong key', 401, 'unauthenticated', { authorization: 'Bearer wrong' }, undefined],
    ['a wrong content type', 400, 'invalid_argument', { 'content-type': 'text/plain' }, undefined],
    ['a compressed body', 400, 'invalid_argument', { 'content-encoding': 'gzip' }, undefined],
    ['a body that is no message', 400, 'invalid_argument', {}, new Uint8Array([255, 255, 255])],
    ['a body that is too large', 400, 'invalid_argument', {}, new Uint8Array(16_000_001)],
  ])('refuses %s', async (_what, status, code, headers, body) => {
    const { service, post } = await serve();
    const response = await post(body ?? binary(), 'application/proto', headers);
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toEqual({ code, message: expect.any(String) });
    expect(service.queue).toEqual([]);
  });

  it('refuses calls that name no function', async () => {
    const { post } = await serve();
    const response = await post('{"calls":[{"endpoint":"http://a"}]}', 'application/json');
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ code: 'invalid_argument', message: 'a call names no function' });
  });

  it('knows one path, and posts alone', async () => {
    const { server } = await serve();
    for (const [path, method] of [
      ['/', 'POST'],
      [PATH, 'GET'],
    ] as const) {
      const response = await fetch(server.url + path, { method });
      expect(response.status).toBe(404);
      expect(await response.json()).toEqual({ code: 'not_found', message: 'there is no such path' });
    }
  });

  it('tells nothing of what went wrong inside', async () => {
    const server = new DispatchServer({ dispatch: () => Promise.reject(new Error('a secret')) });
    await server.start();
    cleanups.push(() => server.stop());
    const response = await fetch(server.url + PATH, { method: 'POST', body: binary() });
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ code: 'internal', message: 'internal error' });
  });
});

describe('an application behind a dispatch server', () => {
  async function start(apiKey: string) {
    for (const level of ['log', 'warn', 'error'] as const) {
      jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
    }
    const keys = generateKeyPair();
    const service = new DispatchService(
      { run: (request) => endpoint.run(request) },
      { apiKey: 'the key', collectRoundtrips: true },
    );
    const server = new DispatchServer(service);
    await server.start();
    cleanups.push(() => server.stop());
    const module = await Test.createTestingModule({
      imports: [
        DispatchModule.forRoot({
          apiUrl: server.url,
          apiKey,
          endpointUrl: 'https://app.example.com',
          verificationKey: keys.publicKey,
        }),
      ],
      providers: [Maths],
    }).compile();
    const app = module.createNestApplication();
    await app.init();
    cleanups.push(() => app.close());
    const endpoint = EndpointClient.fromApp(app, { signingKey: keys.privateKey });
    service.start();
    cleanups.push(() => service.stop());
    return { service, client: app.get(DispatchClient), maths: app.get(Maths) };
  }

  it('dispatches, runs signed, and awaits the result', async () => {
    const { client, maths, service } = await start('the key');
    maths.failures = [Status.TEMPORARY_ERROR];
    const id = await client.dispatch(maths.sum, [1, 2, 3]);
    expect(await client.wait(id)).toBe(12);
    expect(await client.of(maths).flaky(5).result()).toBe(5);
    expect(service.roundtrips.get(id)?.map(([, { directive }]) => directive.case)).toEqual(['poll', 'exit']);
  });

  it('is told that its key is wrong', async () => {
    const { client, maths, service } = await start('another key');
    await expect(client.dispatch(maths.double, 1)).rejects.toThrow(UnauthenticatedError);
    expect(service.queue).toEqual([]);
  });
});
