import { createServer, request as httpRequest, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, type INestApplication } from '@nestjs/common';
import { create, createRegistry, fromBinary, toBinary, toJsonString, type DescMessage } from '@bufbuild/protobuf';
import { AnySchema, DurationSchema, file_google_protobuf_any } from '@bufbuild/protobuf/wkt';
import { endpointMiddleware, FunctionEndpoint } from '../../lib/endpoint/index.js';
import {
  currentCall,
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  registerMessageType,
  Status,
} from '../../lib/index.js';
import { RunRequestSchema, RunResponseSchema, type RunResponse } from '../../lib/proto.js';
import { RoundSchema } from '../../lib/gen/nestjs_dispatch/v1/journal_pb.js';
import { messageTypes, pack } from '../../lib/values/index.js';
import { FRAMEWORKS, listen, portOf } from '../support/frameworks.js';

const PATH = '/dispatch.sdk.v1.FunctionService/Run';

@Injectable()
class Limits {
  started: () => void = () => undefined;
  stopped: (reason: unknown) => void = () => undefined;

  @DispatchFunction()
  async letters(count: number): Promise<string> {
    return 'x'.repeat(count);
  }

  @DispatchFunction()
  async shout(count: number): Promise<void> {
    throw Object.assign(new RangeError('!'.repeat(count)), { cause: 'x'.repeat(count) });
  }

  @DispatchFunction()
  async hang(): Promise<void> {
    const { signal } = currentCall();
    this.started();
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    this.stopped(signal.reason);
  }

  @DispatchFunction()
  async stubborn(): Promise<void> {
    await new Promise<void>((resolve) => (this.stopped = () => resolve()));
  }

  @DispatchFunction()
  async echo(value: unknown): Promise<unknown> {
    return value;
  }

  @DispatchFunction()
  async unsayable(): Promise<unknown> {
    return create(AnySchema, { typeUrl: 'type.googleapis.com/nobody.Knows', value: new Uint8Array([1]) });
  }
}

class AppModule {}
/** Megabytes are written and read here, on machines that have other things to do. */
jest.setTimeout(60_000);
const cleanUp: (() => unknown)[] = [];

afterEach(async () => {
  for (const clean of cleanUp.splice(0)) await clean();
});

async function start(framework: (typeof FRAMEWORKS)[number]): Promise<INestApplication> {
  const dispatch = DispatchModule.forRoot({ endpoint: { open: true } });
  const app = await listen(framework, { module: AppModule, imports: [dispatch], providers: [Limits] });
  cleanUp.push(() => app.close());
  return app;
}

const requestOf = (name: string, argument?: unknown) =>
  create(RunRequestSchema, { function: `Limits.${name}`, directive: { case: 'input', value: pack(argument) } });
const runOf = (name: string, argument?: unknown): Uint8Array => toBinary(RunRequestSchema, requestOf(name, argument));

async function post(port: number, body: Uint8Array, headers: Record<string, string> = {}): Promise<[number, Buffer]> {
  const response = await fetch(`http://127.0.0.1:${port}${PATH}`, {
    method: 'POST',
    headers: { 'content-type': 'application/proto', ...headers },
    body: Buffer.from(body),
  });
  return [response.status, Buffer.from(await response.arrayBuffer())];
}

async function run(app: INestApplication, name: string, argument?: unknown): Promise<RunResponse> {
  const [status, body] = await post(portOf(app), runOf(name, argument));
  expect(status).toBe(200);
  return fromBinary(RunResponseSchema, body);
}

const errorOf = ({ directive }: RunResponse) => (directive.case === 'exit' ? directive.value.result?.error : undefined);

describe.each(FRAMEWORKS)('limits of the endpoint on %s', (framework) => {
  it('answers up to 16,000,000 bytes, and says so when it is more', async () => {
    const app = await start(framework);
    const overhead = toBinary(RunResponseSchema, await run(app, 'letters', 15_000_000)).length - 15_000_000;
    expect((await run(app, 'letters', 16_000_000 - overhead)).status).toBe(Status.OK);
    const refused = await run(app, 'letters', 16_000_001 - overhead);
    expect(refused.status).toBe(Status.INVALID_RESPONSE);
    expect(errorOf(refused)).toMatchObject({
      type: 'InvalidResponseError',
      message:
        'Limits.letters returned 16,000,001 bytes, more than the 16,000,000 of a message: store it elsewhere and ' +
        'return where it is',
    });
  });

  it('holds calls of the embedded scheduler to the same limit', async () => {
    const app = await start(framework);
    const limits = app.get(DispatchClient).of(app.get(Limits));
    await expect(limits.letters(15_999_000).result()).resolves.toHaveLength(15_999_000);
    await expect(limits.letters(16_000_000).result()).rejects.toThrow('more than the 16,000,000 of a message');
  });

  it('lets an error arrive that is too large', async () => {
    const app = await start(framework);
    const response = await run(app, 'shout', 9_000_000);
    expect(response.status).toBe(Status.PERMANENT_ERROR);
    expect(errorOf(response)).toMatchObject({
      type: 'RangeError',
      message: expect.stringMatching(/^!{100000}… \(cut\)$/),
    });
  });

  it('aborts the function of a caller that has gone away', async () => {
    const app = await start(framework);
    const limits = app.get(Limits);
    const started = new Promise<void>((resolve) => (limits.started = resolve));
    const stopped = new Promise<unknown>((resolve) => (limits.stopped = resolve));
    const body = runOf('hang');
    const request = httpRequest({
      port: portOf(app),
      host: '127.0.0.1',
      method: 'POST',
      path: PATH,
      headers: { 'content-type': 'application/proto', 'content-length': body.length },
    });
    request.on('error', () => undefined);
    request.end(body);
    await started;
    request.destroy();
    expect(await stopped).toMatchObject({ name: 'AbortError', message: 'The client has gone away' });
  });

  it('ends a request when the time that its caller has set is over', async () => {
    const app = await start(framework);
    const limits = app.get(Limits);
    const stopped = new Promise<unknown>((resolve) => (limits.stopped = resolve));
    const [status, body] = await post(portOf(app), runOf('hang'), { 'connect-timeout-ms': '50' });
    expect([status, JSON.parse(body.toString())]).toEqual([
      408,
      { code: 'deadline_exceeded', message: 'there was no answer within the 50 ms of the request' },
    ]);
    expect(await stopped).toMatchObject({ name: 'TimeoutError' });
  });

  it('does not wait for a function that does not heed its signal', async () => {
    const app = await start(framework);
    const [status] = await post(portOf(app), runOf('stubborn'), { 'connect-timeout-ms': '1' });
    expect(status).toBe(408);
    app.get(Limits).stopped(undefined);
  });

  it('leaves requests alone that are in time', async () => {
    const app = await start(framework);
    expect((await post(portOf(app), runOf('echo', 1), { 'connect-timeout-ms': '9999999999' }))[0]).toBe(200);
    for (const timeout of ['1e3', '-1', '99999999999']) {
      const [status, body] = await post(portOf(app), runOf('echo', 1), { 'connect-timeout-ms': timeout });
      expect([status, body.toString()]).toEqual([400, expect.stringContaining('Connect-Timeout-Ms')]);
    }
  });

  it('stops to read a body that has no end', async () => {
    const app = await start(framework);
    const socket = connect(portOf(app), '127.0.0.1');
    const answered = new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString())));
    const cut = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined);
    socket.write(`POST ${PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000000\r\n\r\n`);
    expect(await answered).toMatch(/^HTTP\/1\.1 400 [^]*content length is too large/);
    const chunk = Buffer.alloc(65_536);
    const flood = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', flood);
    flood();
    await cut;
    expect((await run(app, 'echo', 1)).status).toBe(Status.OK);
  });
});

describe('proto3 JSON', () => {
  const json = async (app: INestApplication, body: string): Promise<unknown> => {
    const [status, answer] = await post(portOf(app), Buffer.from(body), { 'content-type': 'application/json' });
    expect(status).toBe(200);
    return JSON.parse(answer.toString());
  };

  it('takes and answers messages of registered types', async () => {
    const app = await start('express');
    const schema: DescMessage = RoundSchema;
    registerMessageType(schema);
    const value = create(RoundSchema, { delivery: { time: 7n, timers: [1, 2] } });
    const body = toJsonString(RunRequestSchema, requestOf('echo', value), {
      registry: createRegistry(file_google_protobuf_any, schema),
    });
    expect(body).toContain(schema.typeName);
    expect(await json(app, body)).toMatchObject({
      status: 'STATUS_OK',
      exit: {
        result: {
          output: { '@type': `type.googleapis.com/${schema.typeName}`, delivery: { time: '7', timers: [1, 2] } },
        },
      },
    });
  });

  it('names what it cannot say, as the failure of the function', async () => {
    const app = await start('express');
    const empty = { '@type': 'type.googleapis.com/google.protobuf.Empty' };
    expect(await json(app, JSON.stringify({ function: 'Limits.unsayable', input: empty }))).toMatchObject({
      status: 'STATUS_INVALID_RESPONSE',
      exit: { result: { error: { type: 'InvalidResponseError', message: expect.stringContaining('nobody.Knows') } } },
    });
    expect((await run(app, 'unsayable')).status).toBe(Status.OK);
  });

  it('keeps keys that look like prototypes as data', async () => {
    const app = await start('express');
    const type = 'type.googleapis.com/google.protobuf.Value';
    const value = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';
    const answer = await json(app, `{"function":"Limits.echo","input":{"@type":"${type}","value":${value}}}`);
    expect(JSON.stringify(answer)).toContain(value);
    expect('polluted' in {}).toBe(false);
  });

  it('knows the types that the package itself knows', () => {
    expect(messageTypes.getMessage(DurationSchema.typeName)).toBe(DurationSchema);
  });
});

describe('a body that does not come', () => {
  it('is not waited for', async () => {
    const endpoint = new FunctionEndpoint({
      runner: { run: () => Promise.reject(new Error('it was run')) },
      functions: { get: () => undefined },
      open: true,
      maxBodyBytes: 1000,
      log: { error: () => undefined },
    });
    const middleware = endpointMiddleware(endpoint, (path) => path === '', { bodyTimeout: 20 });
    const server: Server = createServer((request, response) => middleware(request, response, () => response.end()));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUp.push(() => new Promise((resolve) => server.close(resolve)));
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const answered = new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString())));
    const cut = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined);
    socket.write(`POST ${PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf`);
    expect(await answered).toMatch(/^HTTP\/1\.1 408 [^]*"deadline_exceeded"/);
    await cut;
  });
});
