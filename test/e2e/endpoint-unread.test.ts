import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, type INestApplication } from '@nestjs/common';
import { create, toBinary } from '@bufbuild/protobuf';
import { DispatchFunction, DispatchModule, Status } from '../../lib/index.js';
import { HttpTransport } from '../../lib/endpoint/index.js';
import { RunRequestSchema } from '../../lib/proto.js';
import { generateKeyPair, parsePrivateKey, signRequest } from '../../lib/signature/index.js';
import { pack } from '../../lib/values/index.js';
import { FRAMEWORKS, listen, portOf } from '../support/frameworks.js';

const PATH = '/dispatch.sdk.v1.FunctionService/Run';
const keys = generateKeyPair();
const key = parsePrivateKey(keys.privateKey, 'the key');
const stranger = parsePrivateKey(generateKeyPair().privateKey, 'the key');

@Injectable()
class Sizes {
  calls = 0;

  @DispatchFunction()
  async size(value: Uint8Array): Promise<number> {
    this.calls++;
    return value.length;
  }
}

class AppModule {}
/** The first application of a framework loads all of it. */
jest.setTimeout(60_000);
const cleanUp: (() => unknown)[] = [];

afterEach(async () => {
  for (const clean of cleanUp.splice(0)) await clean();
});

const bodyOf = (size: number): Uint8Array =>
  toBinary(
    RunRequestSchema,
    create(RunRequestSchema, {
      function: 'Sizes.size',
      directive: { case: 'input', value: pack(new Uint8Array(size)) },
    }),
  );

const big = bodyOf(15_000_000);
const small = bodyOf(10);

/** Header fields as they are signed, and what a liar makes of them. */
function fields(body: Uint8Array, signer = key, created?: number): Record<string, string> {
  const headers = { 'content-type': 'application/proto' };
  const signature = signRequest({ method: 'POST', url: `http://service${PATH}`, headers, body }, signer, { created });
  return { host: 'service', ...headers, ...signature, 'content-length': String(body.length) };
}

const head = (headers: Record<string, string>): string =>
  [`POST ${PATH} HTTP/1.1`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), '', ''].join(
    '\r\n',
  );

const without = (name: string): Record<string, string> =>
  Object.fromEntries(Object.entries(fields(big)).filter(([each]) => each !== name));

/** Reads one answer after the other from a connection. */
class Connection {
  private constructor(readonly socket: Socket) {}
  private received = '';

  static async to(app: INestApplication): Promise<Connection> {
    const socket = connect(portOf(app), '127.0.0.1');
    socket.on('error', () => undefined);
    cleanUp.unshift(() => socket.destroy());
    await once(socket, 'connect');
    return new Connection(socket);
  }

  /** The status and the body of the next answer. */
  async answer(): Promise<{ status: number; body: string }> {
    for (;;) {
      const [, status, lines, rest] = /^HTTP\/1\.1 (\d+) [^\r]*\r\n([^]*?)\r\n\r\n([^]*)$/.exec(this.received) ?? [];
      const length = Number(/content-length: (\d+)/i.exec(lines ?? '')?.[1]);
      if (rest !== undefined && rest.length >= length) {
        this.received = rest.slice(length);
        return { status: Number(status), body: rest.slice(0, length) };
      }
      const [data] = (await once(this.socket, 'data')) as [Buffer];
      this.received += data.toString('latin1');
    }
  }
}

describe.each(FRAMEWORKS)('a request that has no right to be here, on %s', (framework) => {
  async function start(): Promise<INestApplication> {
    const dispatch = DispatchModule.forRoot({ verificationKey: keys.publicKey });
    const app = await listen(framework, { module: AppModule, imports: [dispatch], providers: [Sizes] });
    cleanUp.push(() => app.close());
    return app;
  }

  it.each<[string, Record<string, string>, number]>([
    ['no signature', { ...without('signature'), 'signature-input': '' }, 401],
    ['no list of what is signed', without('signature-input'), 401],
    ['no digest', without('content-digest'), 401],
    ['a signature that is none', { ...fields(big), signature: 'dispatch=:AAAA:' }, 403],
    ['a signature of another key', fields(big, stranger), 403],
    ['a signature that is too old', fields(big, key, 1_600_000_000), 403],
    ['a signature for another host', { ...fields(big), host: 'elsewhere' }, 403],
  ])('is answered before its body has come: %s', async (_what, headers, status) => {
    const app = await start();
    const connection = await Connection.to(app);
    connection.socket.write(head(headers));
    connection.socket.write(big.subarray(0, 10));
    expect((await connection.answer()).status).toBe(status);
  });

  it('may send the rest, and the next request of the connection is another matter', async () => {
    const app = await start();
    const connection = await Connection.to(app);
    connection.socket.write(head(fields(big, stranger)));
    expect((await connection.answer()).status).toBe(403);
    connection.socket.write(big);
    connection.socket.write(head(fields(small)));
    connection.socket.write(small);
    expect((await connection.answer()).status).toBe(200);
    expect(app.get(Sizes).calls).toBe(1);
  });

  it('is refused for a body that is not the one that was signed, when that has come', async () => {
    const app = await start();
    const connection = await Connection.to(app);
    connection.socket.write(head(fields(small)));
    connection.socket.write(small.map((byte, index) => (index === small.length - 1 ? byte ^ 1 : byte)));
    const { status, body } = await connection.answer();
    expect([status, body]).toEqual([403, expect.stringContaining('Content-Digest')]);
    expect(app.get(Sizes).calls).toBe(0);
  });

  it('is told so by a scheduler of ours, however large it is', async () => {
    const app = await start();
    const transport = new HttpTransport({
      sign: ({ url, headers, body }) => ({
        ...headers,
        ...signRequest({ method: 'POST', url: url.href, headers, body }, stranger),
      }),
    });
    cleanUp.unshift(() => transport.close());
    const request = create(RunRequestSchema, {
      function: 'Sizes.size',
      directive: { case: 'input', value: pack(new Uint8Array(15_000_000)) },
    });
    const { signal } = new AbortController();
    const { response } = await transport.run(`http://127.0.0.1:${portOf(app)}`, request, { signal });
    expect(Status[response.status]).toBe('PERMISSION_DENIED');
  });
});
