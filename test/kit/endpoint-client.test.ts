import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger, type INestApplication, type Type } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import {
  ConfigurationError,
  type DispatchError,
  DispatchModule,
  DNSError,
  InvalidArgumentError,
  InvalidResponseError,
  NotFoundError,
  PermanentError,
  PermissionDeniedError,
  Status,
  TCPError,
  TemporaryError,
  ThrottleError,
  TimeoutError,
  UnauthenticatedError,
  type DispatchModuleOptions,
} from '../../lib/index.js';
import {
  EndpointClient,
  generateKeyPair,
  pack,
  TestTime,
  unpack,
  type HttpClientRequest,
} from '../../lib/testing/index.js';
import type { RunResponse } from '../../lib/proto.js';
import { Maths } from './functions.js';

const keys = generateKeyPair();
const double = (value: unknown) => ({
  function: 'Maths.double',
  directive: { case: 'input' as const, value: pack(value) },
});

const outputOf = ({ directive }: RunResponse): unknown =>
  unpack(directive.case === 'exit' ? directive.value.result?.output : undefined);

const cleanups: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  for (const level of ['log', 'warn', 'error'] as const) {
    jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
  }
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  jest.restoreAllMocks();
});

async function create(adapter: string, options: DispatchModuleOptions, time?: TestTime): Promise<INestApplication> {
  const builder = Test.createTestingModule({ imports: [DispatchModule.forRoot(options)], providers: [Maths] });
  const module = await (time?.control(builder) ?? builder).compile();
  const app = module.createNestApplication(adapter === 'fastify' ? new FastifyAdapter() : new ExpressAdapter());
  cleanups.push(() => app.close());
  return app;
}

describe.each(['express', 'fastify'])('a client of an application on %s', (adapter) => {
  it('runs a function, signed, with no port', async () => {
    const app = await create(adapter, { verificationKey: keys.publicKey });
    const client = EndpointClient.fromApp(app, { signingKey: keys.privateKey });
    const response = await client.run(double(21));
    expect(response.status).toBe(Status.OK);
    expect(outputOf(response)).toBe(42);
    expect((app.getHttpServer() as Server).listening).toBe(false);
  });

  it('runs a function of an application that serves HTTPS', async () => {
    const module = await Test.createTestingModule({
      imports: [DispatchModule.forRoot({ verificationKey: keys.publicKey })],
      providers: [Maths],
    }).compile();
    // No certificate: there is no handshake in memory.
    const app =
      adapter === 'express'
        ? module.createNestApplication(new ExpressAdapter(), { httpsOptions: {} })
        : module.createNestApplication(new FastifyAdapter({ https: {} }));
    cleanups.push(() => app.close());
    const client = EndpointClient.fromApp(app, { signingKey: keys.privateKey });
    expect(outputOf(await client.run(double(21)))).toBe(42);
  });

  it('reaches an application with a global prefix and an address of its own', async () => {
    const app = await create(adapter, {
      verificationKey: keys.publicKeyBase64,
      endpointUrl: 'https://app.example.com/behind/a/proxy',
    });
    app.setGlobalPrefix('api');
    const client = EndpointClient.fromApp(app, { signingKey: keys.privateKeyBase64 });
    expect(outputOf(await client.run(double(2)))).toBe(4);
    const elsewhere = EndpointClient.fromApp(app, { signingKey: keys.privateKey, url: 'https://other.example.com' });
    await expect(elsewhere.run(double(2))).rejects.toThrow(PermissionDeniedError);
  });

  it('tells what was refused, by class', async () => {
    const app = await create(adapter, { verificationKey: keys.publicKey });
    await expect(EndpointClient.fromApp(app).run(double(1))).rejects.toThrow(UnauthenticatedError);
    const stranger = EndpointClient.fromApp(app, { signingKey: generateKeyPair().privateKey });
    await expect(stranger.run(double(1))).rejects.toThrow(PermissionDeniedError);
    const late = EndpointClient.fromApp(app, { signingKey: keys.privateKey, now: () => Date.now() - 3_600_000 });
    await expect(late.run(double(1))).rejects.toThrow(PermissionDeniedError);
    const client = EndpointClient.fromApp(app, { signingKey: keys.privateKey });
    await expect(client.run({ ...double(1), function: 'nobody' })).rejects.toThrow(
      new NotFoundError("http://localhost answered with HTTP status 404: function 'nobody' does not exist"),
    );
    await expect(client.run({ function: 'Maths.double' })).rejects.toThrow(InvalidArgumentError);
  });

  it('finds the endpoint closed where nothing has opened it', async () => {
    const app = await create(adapter, {});
    await expect(EndpointClient.fromApp(app).run(double(1))).rejects.toThrow(NotFoundError);
  });

  it('runs requests side by side, and large ones', async () => {
    const app = await create(adapter, { endpoint: { open: true } });
    const client = EndpointClient.fromApp(app);
    const outputs = await Promise.all([1, 2, 3, 4, 5].map(async (n) => outputOf(await client.run(double(n)))));
    expect(outputs).toEqual([2, 4, 6, 8, 10]);
    const text = 'x'.repeat(3_000_000);
    const response = await client.run({ function: 'Maths.lengthOf', directive: { case: 'input', value: pack(text) } });
    expect(outputOf(response)).toBe(3_000_000);
  });

  it('signs with the time of the application', async () => {
    const time = new TestTime({ start: '2040-05-05' });
    const app = await create(adapter, { verificationKey: keys.publicKey }, time);
    const client = EndpointClient.fromApp(app, { signingKey: keys.privateKey });
    await time.advance('30d');
    expect(outputOf(await client.run(double(3)))).toBe(6);
  });
});

describe('a client of an application that serves HTTP/2', () => {
  it('says that it does not speak it', async () => {
    const module = await Test.createTestingModule({
      imports: [DispatchModule.forRoot({ verificationKey: keys.publicKey })],
      providers: [Maths],
    }).compile();
    const app = module.createNestApplication(new FastifyAdapter({ http2: true }));
    cleanups.push(() => app.close());
    const client = EndpointClient.fromApp(app, { signingKey: keys.privateKey });
    await expect(client.run(double(21))).rejects.toThrow('speaks HTTP/1.1');
  });
});

describe('a client of an address', () => {
  async function serve(status: number, body: string): Promise<string> {
    const server = createServer((_request, response) => response.writeHead(status).end(body));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it('runs a function over the network', async () => {
    const app = await create('express', { verificationKey: keys.publicKey });
    app.setGlobalPrefix('v1');
    await app.listen(0, '127.0.0.1');
    const client = EndpointClient.fromUrl(`${await app.getUrl()}/v1`, { signingKey: keys.privateKey });
    expect(outputOf(await client.run(double(4)))).toBe(8);
  });

  const refusals: [number, Type<DispatchError>][] = [
    [400, InvalidArgumentError],
    [401, UnauthenticatedError],
    [403, PermissionDeniedError],
    [404, NotFoundError],
    [408, TimeoutError],
    [418, PermanentError],
    [429, ThrottleError],
    [500, TemporaryError],
    [501, PermanentError],
    [503, TemporaryError],
    [504, TimeoutError],
    [204, InvalidResponseError],
  ];

  it.each(refusals)('throws for HTTP status %d the error of its class', async (status, type) => {
    const url = await serve(status, '{"code":"any","message":"because"}');
    const error: unknown = await EndpointClient.fromUrl(url)
      .run(double(1))
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message).toBe(
      `${url} answered with HTTP status ${status}${status === 204 ? '' : ': because'}`,
    );
  });

  it('throws for an answer that is no message', async () => {
    const url = await serve(200, 'hello');
    await expect(EndpointClient.fromUrl(url).run(double(1))).rejects.toThrow(InvalidResponseError);
  });

  it('throws for what cannot be reached', async () => {
    await expect(EndpointClient.fromUrl('http://127.0.0.1:1').run(double(1))).rejects.toThrow(TCPError);
    await expect(EndpointClient.fromUrl('http://no-such-host.invalid').run(double(1))).rejects.toThrow(DNSError);
  });
});

describe('a client with an HTTP client of its own', () => {
  it('hands it the request to send', async () => {
    const sent: HttpClientRequest[] = [];
    const send = async (request: HttpClientRequest) => {
      sent.push(request);
      return { status: 200, body: new Uint8Array() };
    };
    const client = new EndpointClient({ url: 'https://app.example.com/base/', send }, { signingKey: keys.privateKey });
    await client.run(double(1));
    expect(sent).toEqual([
      {
        method: 'POST',
        url: 'https://app.example.com/base/dispatch.sdk.v1.FunctionService/Run',
        headers: {
          'content-type': 'application/proto',
          accept: 'application/proto',
          'content-digest': expect.stringMatching(/^sha-512=/),
          'signature-input': expect.stringContaining('keyid="default"'),
          signature: expect.any(String),
        },
        body: expect.any(Uint8Array),
      },
    ]);
  });

  it('refuses a key that is none, without showing it', () => {
    const http = { url: 'http://localhost', send: () => Promise.reject(new Error('unused')) };
    expect(() => new EndpointClient(http, { signingKey: 'hunter2' })).toThrow(ConfigurationError);
    expect(() => new EndpointClient(http, { signingKey: 'hunter2' })).not.toThrow('hunter2');
  });
});
