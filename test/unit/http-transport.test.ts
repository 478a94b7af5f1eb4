import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack, EmptySchema } from '@bufbuild/protobuf/wkt';
import { HttpTransport, signerOf, type HttpTransportOptions } from '../../lib/endpoint/index.js';
import { Status } from '../../lib/errors/index.js';
import { RunRequestSchema, RunResponseSchema } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';
import type { RunAnswer } from '../../lib/protocol/index.js';
import { generateKeyPair, parsePublicKey, verifyRequest } from '../../lib/signature/index.js';

const request = create(RunRequestSchema, {
  function: 'f',
  directive: { case: 'input', value: anyPack(EmptySchema, create(EmptySchema)) },
});
const answer = toBinary(RunResponseSchema, create(RunResponseSchema, { status: Status.OK }));
const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

const listen = async (server: Server | TcpServer): Promise<string> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.close();
    if ('closeAllConnections' in server) server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

const serve = (handler: (request: IncomingMessage, response: ServerResponse, body: Buffer) => void): Promise<string> =>
  listen(
    createServer((incoming, response) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => handler(incoming, response, Buffer.concat(chunks)));
    }),
  );

function transportWith(options: HttpTransportOptions = {}): HttpTransport {
  const transport = new HttpTransport(options);
  cleanups.push(() => transport.close());
  return transport;
}

const run = (
  endpoint: string,
  signal = new AbortController().signal,
  transport = transportWith(),
): Promise<RunAnswer> => transport.run(endpoint, request, { signal });

const errorOf = ({ response }: RunAnswer) =>
  response.directive.case === 'exit' ? response.directive.value.result?.error : undefined;

describe('the HTTP transport', () => {
  it('posts a run to the path of the protocol below the endpoint', async () => {
    const seen: unknown[] = [];
    const url = await serve((incoming, response, body) => {
      seen.push(
        incoming.method,
        incoming.url,
        incoming.headers['content-type'],
        body.equals(toBinary(RunRequestSchema, request)),
      );
      response.end(answer);
    });
    for (const endpoint of [url, `${url}/api/`]) expect((await run(endpoint)).response.status).toBe(Status.OK);
    expect(seen).toEqual([
      ...['POST', '/dispatch.sdk.v1.FunctionService/Run', 'application/proto', true],
      ...['POST', '/api/dispatch.sdk.v1.FunctionService/Run', 'application/proto', true],
    ]);
  });

  it('uses one connection for runs that follow one another', async () => {
    const ports = new Set<number | undefined>();
    const url = await serve((incoming, response) => {
      ports.add(incoming.socket.remotePort);
      response.end(answer);
    });
    const transport = transportWith();
    for (let i = 0; i < 5; i++) await run(url, undefined, transport);
    expect(ports.size).toBe(1);
  });

  it('signs runs when it has a key', async () => {
    const keys = generateKeyPair();
    const verified: boolean[] = [];
    const url = await serve((incoming, response, body) => {
      verifyRequest(
        { method: 'POST', path: incoming.url ?? '', headers: incoming.headers, body },
        parsePublicKey(keys.publicKey, 'key'),
      );
      verified.push(true);
      response.end(answer);
    });
    const sign = signerOf({ value: keys.privateKey, source: 'key' }, { now: () => Date.now() });
    await run(url, undefined, transportWith({ sign }));
    expect(verified).toEqual([true]);
  });

  it.each([
    [400, Status.INVALID_ARGUMENT],
    [401, Status.UNAUTHENTICATED],
    [403, Status.PERMISSION_DENIED],
    [404, Status.NOT_FOUND],
    [408, Status.TIMEOUT],
    [409, Status.PERMANENT_ERROR],
    [429, Status.THROTTLED],
    [500, Status.TEMPORARY_ERROR],
    [501, Status.PERMANENT_ERROR],
    [503, Status.TEMPORARY_ERROR],
    [504, Status.TIMEOUT],
    [302, Status.PERMANENT_ERROR],
    [204, Status.INVALID_RESPONSE],
  ])('turns HTTP status %i into a status', async (code, status) => {
    const url = await serve((_incoming, response) =>
      response.writeHead(code, { location: 'http://127.0.0.1:1/' }).end(),
    );
    const result = await run(url);
    expect(result.response.status).toBe(status);
    expect(errorOf(result)?.message).toContain(String(code));
    // Of these, only that one says that the application itself is there.
    expect(result.ran ?? false).toBe(code === 500);
  });

  it('passes on what the endpoint says and when it wants to be asked again', async () => {
    const url = await serve((_incoming, response) =>
      response.writeHead(429, { 'retry-after': '7' }).end('{"code":"resource_exhausted","message":"too many"}'),
    );
    const result = await run(url);
    expect(result.retryAfter).toBe(7_000);
    expect(errorOf(result)).toMatchObject({ type: 'ThrottleError', message: expect.stringContaining('too many') });
  });

  it('reads Retry-After as a date too', async () => {
    const date = new Date(Date.now() + 3_600_000).toUTCString();
    const url = await serve((_incoming, response) => response.writeHead(503, { 'retry-after': date }).end());
    const { retryAfter } = await run(url);
    expect(retryAfter).toBeGreaterThan(3_000_000);
    expect(retryAfter).toBeLessThanOrEqual(3_600_000);
  });

  it('answers INVALID_RESPONSE for a body that is no RunResponse', async () => {
    const url = await serve((_incoming, response) => response.end('<html>'));
    expect((await run(url)).response.status).toBe(Status.INVALID_RESPONSE);
  });

  it('answers INVALID_RESPONSE for a body that is too large, without reading it all', async () => {
    const url = await serve((_incoming, response) => response.end(Buffer.alloc(100_000)));
    const result = await run(url, undefined, transportWith({ maxReplyBytes: 1_000 }));
    expect(result.response.status).toBe(Status.INVALID_RESPONSE);
    expect(errorOf(result)?.message).toContain('1,000 bytes');
  });

  it('answers TCP_ERROR when nobody listens', async () => {
    const server = createServer();
    const url = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    expect((await run(url)).response.status).toBe(Status.TCP_ERROR);
  });

  it('answers TCP_ERROR when the connection breaks', async () => {
    const url = await serve((incoming) => incoming.socket.destroy());
    expect((await run(url)).response.status).toBe(Status.TCP_ERROR);
  });

  it('sends a run again when a kept connection was closed meanwhile', async () => {
    let answered = 0;
    const url = await serve((incoming, response) => {
      // The first request of a connection is answered, the second finds it closed.
      const { socket } = incoming;
      if ('used' in socket) return void socket.destroy();
      Object.assign(socket, { used: true });
      answered += 1;
      response.end(answer);
    });
    const transport = transportWith();
    await run(url, undefined, transport);
    expect((await run(url, undefined, transport)).response.status).toBe(Status.OK);
    expect(answered).toBe(2);
  });

  it('answers DNS_ERROR for a name that does not exist', async () => {
    // Reserved for this by RFC 6761, section 6.4.
    expect((await run('http://no-such-host.invalid')).response.status).toBe(Status.DNS_ERROR);
  });

  it('answers TLS_ERROR when the other side speaks no TLS', async () => {
    const url = await listen(createTcpServer((socket) => void socket.end('HTTP/1.1 200 OK\r\n\r\n')));
    expect((await run(url.replace('http:', 'https:'))).response.status).toBe(Status.TLS_ERROR);
  });

  it('answers HTTP_ERROR when the other side speaks no HTTP', async () => {
    const url = await listen(
      createTcpServer((socket) => void socket.on('error', () => undefined).end('SSH-2.0-x\r\n\r\n')),
    );
    expect((await run(url)).response.status).toBe(Status.HTTP_ERROR);
  });

  it('answers TIMEOUT when the run is aborted, before or while it waits', async () => {
    expect((await run('http://127.0.0.1:1', AbortSignal.abort())).response.status).toBe(Status.TIMEOUT);
    const deadline = new AbortController();
    const url = await serve(() => deadline.abort());
    expect((await run(url, deadline.signal)).response.status).toBe(Status.TIMEOUT);
  });

  it.each(['bridge://session', 'arn:aws:lambda:eu:1:function:f', 'nonsense'])('cannot call %s', async (endpoint) => {
    expect((await run(endpoint)).response.status).toBe(Status.INVALID_ARGUMENT);
  });
});
