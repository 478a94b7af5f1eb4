import { connect, type AddressInfo } from 'node:net';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, Logger, RequestMethod, VersioningType } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, NestFactory } from '@nestjs/core';
import { ExpressAdapter, type NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyPack, anyUnpack, StringValueSchema } from '@bufbuild/protobuf/wkt';
import request from 'supertest';
import { currentCall, DispatchFunction, DispatchModule, Status, type DispatchModuleOptions } from '../../lib/index.js';
import { RunRequestSchema, RunResponseSchema, type RunResponse } from '../../lib/proto.js';
import { generateKeyPair, parsePrivateKey, signRequest } from '../../lib/signature/index.js';

const PATH = '/dispatch.sdk.v1.FunctionService/Run';
const input = anyPack(StringValueSchema, create(StringValueSchema, { value: 'you' }));
const runOf = (name: string): Buffer =>
  Buffer.from(
    toBinary(
      RunRequestSchema,
      create(RunRequestSchema, { function: name, directive: { case: 'input', value: input } }),
    ),
  );
const greet = runOf('Greeter.greet');

@Injectable()
class Greeter {
  started: () => void = () => undefined;
  stopped: () => void = () => undefined;

  @DispatchFunction()
  async greet(name: string): Promise<string> {
    return `hello ${name}`;
  }

  @DispatchFunction()
  async hang(): Promise<void> {
    const { signal } = currentCall();
    this.started();
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    this.stopped();
  }
}

class Refusing {
  canActivate(): boolean {
    return false;
  }
  intercept(): never {
    throw new Error('intercepted');
  }
  catch(): never {
    throw new Error('filtered');
  }
}

const open: DispatchModuleOptions = { endpoint: { open: true } };
let app: NestExpressApplication | undefined;

afterEach(async () => {
  jest.restoreAllMocks();
  await app?.close();
  app = undefined;
});

async function start(
  options: DispatchModuleOptions,
  configure: (app: NestExpressApplication) => void = () => undefined,
): Promise<Server> {
  const module = await Test.createTestingModule({
    imports: [DispatchModule.forRoot(options)],
    providers: [
      Greeter,
      ...[APP_GUARD, APP_INTERCEPTOR, APP_FILTER].map((provide) => ({ provide, useClass: Refusing })),
    ],
  }).compile();
  app = module.createNestApplication<NestExpressApplication>();
  configure(app);
  await app.init();
  return app.getHttpServer();
}

const post = (server: Server | string, path = PATH, body = greet): request.Test =>
  request(server).post(path).set('content-type', 'application/proto').responseType('blob').send(body);

const readOutput = (response: request.Response): string | undefined => {
  const run: RunResponse = fromBinary(RunResponseSchema, response.body as Uint8Array);
  expect(run.status).toBe(Status.OK);
  const output = run.directive.case === 'exit' ? run.directive.value.result?.output : undefined;
  return output && anyUnpack(output, StringValueSchema)?.value;
};

describe('the route of the endpoint', () => {
  it('runs functions, whatever guards, interceptors and filters the application has', async () => {
    const server = await start(open);
    expect(readOutput(await post(server).expect(200).expect('content-type', 'application/proto'))).toBe('hello you');
  });

  it('is closed beside the embedded scheduler', async () => {
    const server = await start({});
    const { body } = await post(server).expect(404);
    expect(JSON.parse((body as Buffer).toString())).toEqual({ code: 'not_found', message: 'there is no such path' });
  });

  it('is open without a scheduler', async () => {
    const server = await start({ scheduler: false });
    expect(readOutput(await post(server).expect(200))).toBe('hello you');
  });

  it('is below the global prefix', async () => {
    const server = await start(open, (created) => created.setGlobalPrefix('/api/v2'));
    expect(readOutput(await post(server, `/api/v2${PATH}`).expect(200))).toBe('hello you');
    for (const path of [PATH, `/api${PATH}`, `/api/v3${PATH}`, `/x/api/v2${PATH}`]) {
      const response = await request(server).post(path).send('x');
      expect(response.status).not.toBe(200);
    }
  });

  it('is outside of a global prefix that excludes it', async () => {
    const server = await start(open, (created) =>
      created.setGlobalPrefix('api', { exclude: [{ path: PATH, method: RequestMethod.POST }] }),
    );
    expect(readOutput(await post(server).expect(200))).toBe('hello you');
  });

  it('has no version', async () => {
    const server = await start(open, (created) =>
      created.enableVersioning({ type: VersioningType.URI, defaultVersion: '1' }),
    );
    expect(readOutput(await post(server).expect(200))).toBe('hello you');
  });

  it('takes JSON beside a body parser', async () => {
    const server = await start(open, (created) => created.useBodyParser('json'));
    const { body } = await request(server)
      .post(PATH)
      .send({
        function: 'Greeter.greet',
        input: { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: 'JSON' },
      })
      .expect(200)
      .expect('content-type', 'application/json');
    expect(body).toMatchObject({ status: 'STATUS_OK', exit: { result: { output: { value: 'hello JSON' } } } });
  });

  it('leaves other requests alone', async () => {
    const server = await start(open, (created) => {
      created.useBodyParser('json');
      created.use((req: IncomingMessage & { body?: unknown }, res: ServerResponse) =>
        res.setHeader('content-type', 'application/json').end(JSON.stringify({ method: req.method, body: req.body })),
      );
    });
    await request(server).get(PATH).expect(200, { method: 'GET' });
    await request(server)
      .post('/echo')
      .send({ a: 1 })
      .expect(200, { method: 'POST', body: { a: 1 } });
  });

  it('answers 404 for functions that do not exist', async () => {
    const server = await start(open);
    const { body } = await post(server, PATH, runOf('Nobody.there')).expect(404);
    expect(JSON.parse((body as Buffer).toString())).toMatchObject({
      message: "function 'Nobody.there' does not exist",
    });
  });

  it('wants a content length', async () => {
    const server = await start(open);
    await post(server, PATH, Buffer.alloc(0)).expect(400);
    await request(server)
      .post(PATH)
      .set('transfer-encoding', 'chunked')
      .set('content-type', 'application/proto')
      .expect(400);
  });

  it('takes 16,000,000 bytes and not one more', async () => {
    const server = await start(open);
    const big = (size: number): Buffer => {
      const value = 'x'.repeat(size);
      const directive = {
        case: 'input' as const,
        value: anyPack(StringValueSchema, create(StringValueSchema, { value })),
      };
      return Buffer.from(
        toBinary(RunRequestSchema, create(RunRequestSchema, { function: 'Greeter.greet', directive })),
      );
    };
    const overhead = big(15_999_000).length - 15_999_000;
    const largest = big(16_000_000 - overhead);
    expect(largest).toHaveLength(16_000_000);
    // The answer is three bytes too large, as it greets: the request has been taken.
    const { body: answer } = await post(server, PATH, largest).expect(200);
    expect(fromBinary(RunResponseSchema, answer as Uint8Array).status).toBe(Status.INVALID_RESPONSE);
    const { body } = await post(server, PATH, Buffer.alloc(16_000_001)).expect(400);
    expect((body as Buffer).toString()).toContain('content length is too large');
  });

  it('logs nothing when a caller goes away before it has sent its request', async () => {
    const error = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const server = await start(open);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const gone = new Promise((resolve) => server.once('connection', (socket) => socket.once('close', resolve)));
    const begun = new Promise((resolve) => server.once('request', resolve));
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.write(`POST ${PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf`);
    await begun;
    socket.destroy();
    await gone;
    await new Promise((resolve) => setImmediate(resolve));
    expect(error).not.toHaveBeenCalled();
  });

  it('tells a function that its caller has gone away', async () => {
    const server = await start(open);
    const greeter = app?.get(Greeter);
    const started = new Promise<void>((resolve) => Object.assign(greeter ?? {}, { started: resolve }));
    const stopped = new Promise<void>((resolve) => Object.assign(greeter ?? {}, { stopped: resolve }));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const body = runOf('Greeter.hang');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.write(`POST ${PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n`);
    socket.write(body);
    await started;
    socket.destroy();
    await stopped;
  });
});

describe('the route of the endpoint with a verification key', () => {
  const keys = generateKeyPair();
  const key = parsePrivateKey(keys.privateKey, 'key');
  const signed = (url: string, body = greet): Record<string, string> => {
    const headers = { 'content-type': 'application/proto' };
    return { ...headers, ...signRequest({ method: 'POST', url, headers, body }, key) };
  };

  it('is open to requests that are signed with it, and to no others', async () => {
    const server = await start({ verificationKey: keys.publicKey });
    const host = 'service.example.com';
    const send = (headers: Record<string, string>, body = greet) =>
      post(server, PATH, body).set('host', host).set(headers);
    expect(readOutput(await send(signed(`http://${host}${PATH}`)).expect(200))).toBe('hello you');
    await send({}).expect(401);
    await send(signed(`http://other.example.com${PATH}`)).expect(403);
    await send(signed(`http://${host}${PATH}`), runOf('Greeter.hang')).expect(403);
  });

  it('is checked against the address that the outside knows', async () => {
    const endpointUrl = 'https://public.example.com/apps/one';
    const server = await start({ verificationKey: keys.publicKey, endpointUrl }, (created) =>
      created.setGlobalPrefix('inner'),
    );
    const send = (url: string) => post(server, `/inner${PATH}`).set('host', '10.0.0.7:3000').set(signed(url));
    expect(readOutput(await send(endpointUrl + PATH).expect(200))).toBe('hello you');
    await send(`http://10.0.0.7:3000/inner${PATH}`).expect(403);
  });

  it('verifies the raw bytes of JSON, which a body parser would have lost', async () => {
    const server = await start({ verificationKey: keys.publicKey }, (created) => created.useBodyParser('json'));
    const body = Buffer.from(
      '{ "function": "Greeter.greet",\n "input": {"@type":"type.googleapis.com/google.protobuf.StringValue","value":"\\u0041"} }',
    );
    const headers = { 'content-type': 'application/json' };
    const signature = signRequest({ method: 'POST', url: `http://h${PATH}`, headers, body }, key);
    const { text } = await request(server)
      .post(PATH)
      .set({ ...headers, host: 'h', ...signature })
      .send(body.toString())
      .expect(200);
    expect(text).toContain('hello A');
  });

  it('refuses a bad key at start, naming the option and not showing the text', async () => {
    const started = start({ verificationKey: 'no key at all' });
    await expect(started).rejects.toThrow('verificationKey');
    await expect(started).rejects.not.toThrow('no key at all');
  });

  it('is not mentioned as unverified', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await start({ verificationKey: keys.publicKey });
    expect(warn).not.toHaveBeenCalled();
  });
});

describe('the route of the endpoint without a verification key', () => {
  it.each([
    { endpoint: { open: true } },
    { scheduler: false as const },
    { apiUrl: 'http://x', endpointUrl: 'http://y' },
  ])('is warned of once (%j)', async (options) => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await start(options);
    expect(warn.mock.calls.filter(([message]) => String(message).includes('DISPATCH_VERIFICATION_KEY'))).toHaveLength(
      1,
    );
  });
});

describe('an API key', () => {
  it.each([
    ['http://scheduler.example.com', 1],
    ['https://scheduler.example.com', 0],
    ['http://127.0.0.1:9', 0],
    ['http://[::1]:9', 0],
  ])('that goes to %s is warned of %i times', async (apiUrl, times) => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await start({ apiUrl, apiKey: 'secret-key', endpointUrl: 'https://y' });
    expect(warn.mock.calls.filter(([message]) => String(message).includes('plain HTTP'))).toHaveLength(times);
    expect(JSON.stringify(warn.mock.calls)).not.toContain('secret-key');
  });
});

describe('body parsers that were there before the application', () => {
  type Parsed = IncomingMessage & { body?: unknown; rawBody?: unknown };

  async function behind(leave: (request: Parsed, bytes: Buffer) => void): Promise<Server> {
    const adapter = new ExpressAdapter();
    adapter.use((incoming: Parsed, _response: ServerResponse, next: () => void) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        leave(incoming, Buffer.concat(chunks));
        next();
      });
    });
    const module = await Test.createTestingModule({
      imports: [DispatchModule.forRoot(open)],
      providers: [Greeter],
    }).compile();
    app = module.createNestApplication<NestExpressApplication>(adapter);
    await app.init();
    return app.getHttpServer();
  }

  it('may leave the bytes as the body', async () => {
    const server = await behind((parsed, bytes) => (parsed.body = bytes));
    expect(readOutput(await post(server).expect(200))).toBe('hello you');
  });

  it('may leave them as rawBody', async () => {
    const server = await behind((parsed, bytes) => Object.assign(parsed, { body: {}, rawBody: bytes }));
    expect(readOutput(await post(server).expect(200))).toBe('hello you');
  });

  it('are named when they leave nothing', async () => {
    const server = await behind((parsed) => (parsed.body = { function: 'Greeter.greet' }));
    const { body } = await post(server).expect(400);
    expect((body as Buffer).toString()).toContain('rawBody: true');
  });
});

describe('an application of NestFactory', () => {
  it('has the endpoint in front of its own parsers', async () => {
    class AppModule {}
    app = await NestFactory.create<NestExpressApplication>(
      { module: AppModule, imports: [DispatchModule.forRoot(open)], providers: [Greeter] },
      { logger: false },
    );
    app.setGlobalPrefix('api');
    await app.init();
    expect(readOutput(await post(app.getHttpServer(), `/api${PATH}`).expect(200))).toBe('hello you');
  });
});
