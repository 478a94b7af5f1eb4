import { once } from 'node:events';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Injectable, type INestApplication } from '@nestjs/common';
import { DispatchFunction, DispatchModule } from '../../lib/index.js';
import { generateKeyPair, parsePrivateKey, signRequest } from '../../lib/signature/index.js';
import { FRAMEWORKS, listen, portOf } from '../support/frameworks.js';
import { asBinary, asJson, ODD_JSON, requests } from './corpus.js';
import { mutate } from './mutations.js';
import { Random } from './random.js';

const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const INPUTS = 4000;
const PATH = '/dispatch.sdk.v1.FunctionService/Run';
/** Those of the endpoint, and 431: Node's own word for headers that are too large. */
const EXPECTED = new Set([200, 400, 401, 403, 404, 408, 431]);

@Injectable()
class Target {
  @DispatchFunction({ name: 'echo' })
  async echo(...args: unknown[]): Promise<unknown> {
    return args[0];
  }
}

jest.setTimeout(300_000);
const rejections: unknown[] = [];
const onRejection = (reason: unknown): number => rejections.push(reason);

beforeAll(() => {
  process.on('unhandledRejection', onRejection);
});

afterAll(() => {
  process.off('unhandledRejection', onRejection);
});

/** What is written to the socket, in pieces; `cut`: the connection is closed before the answer. */
interface Exchange {
  readonly pieces: readonly (string | Uint8Array)[];
  readonly cut: boolean;
}

/** The status of the first answer; undefined when the connection was closed without one. */
async function exchange(port: number, { pieces, cut }: Exchange): Promise<number | undefined> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  const answered = new Promise<number | undefined>((resolve) => {
    socket.once('data', (data: Buffer) => resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(data.toString('latin1'))?.[1])));
    socket.once('close', () => resolve(undefined));
  });
  for (const piece of pieces) {
    socket.write(piece);
    // Each piece is a packet of its own.
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (cut) socket.destroy();
  const status = await answered;
  socket.destroy();
  return status;
}

function pieces(bytes: Uint8Array, random: Random): Uint8Array[] {
  const size = random.chance(0.2) ? 1 + Math.ceil(bytes.length / 20) : bytes.length + 1;
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}

function head(lines: readonly string[]): string {
  return [`POST ${PATH} HTTP/1.1`, 'host: service', 'connection: close', ...lines, '', ''].join('\r\n');
}

describe.each(FRAMEWORKS)('hostile input over HTTP, on %s', (framework) => {
  it.each([true, false])('is refused or answered, and the application serves on (verified: %s)', async (verified) => {
    const keys = generateKeyPair();
    const key = parsePrivateKey(keys.privateKey, 'the key');
    const dispatch = DispatchModule.forRoot(
      verified ? { verificationKey: keys.publicKey } : { endpoint: { open: true } },
    );
    const app: INestApplication = await listen(framework, {
      module: class AppModule {},
      imports: [dispatch],
      providers: [Target],
    });
    const port = portOf(app);
    const random = new Random(SEED);
    const honest = requests([]);
    const corpus = [...honest.map(asBinary), ...honest.map(asJson).filter((one) => one !== undefined)];
    const [first = new Uint8Array()] = corpus;
    const signed = (body: Uint8Array, type: string): string[] => {
      if (!verified) return [`content-type: ${type}`];
      const headers = { 'content-type': type };
      const fields = signRequest({ method: 'POST', url: `http://service${PATH}`, headers, body }, key);
      return Object.entries({ ...headers, ...fields }).map(([name, value]) => `${name}: ${value}`);
    };
    const kinds: readonly [() => Exchange, ...(() => Exchange)[]] = [
      // Mutated bodies, whole, slow or cut.
      () => {
        const at = random.below(corpus.length);
        const { bytes } = mutate(corpus[at] ?? first, first, random);
        const type = random.chance(0.7) ? 'application/proto' : 'application/json';
        const lines = [...signed(bytes, type), `content-length: ${bytes.length}`];
        return { pieces: [head(lines), ...pieces(bytes, random)], cut: random.chance(0.1) };
      },
      () => {
        const body = Buffer.from(random.pick(ODD_JSON));
        return {
          pieces: [head([...signed(body, 'application/json'), `content-length: ${body.length}`]), body],
          cut: false,
        };
      },
      // Lengths that are not those of the body.
      () => {
        const length = random.pick(['0', '-1', '1', '16000001', '99999999999999999999', 'x', '5, 5', '0x10']);
        return {
          pieces: [head([...signed(first, 'application/proto'), `content-length: ${length}`]), first],
          cut: true,
        };
      },
      () => {
        const lines = [...signed(first, 'application/proto'), 'transfer-encoding: chunked'];
        return { pieces: [head(lines), `${first.length.toString(16)}\r\n`, first, '\r\n0\r\n\r\n'], cut: false };
      },
      () => {
        const lines = ['transfer-encoding: chunked', `content-length: ${first.length}`];
        return { pieces: [head([...signed(first, 'application/proto'), ...lines]), first], cut: true };
      },
      // A compressed body is not unpacked: these are 50 MB.
      () => {
        const lines = [
          ...signed(bomb, 'application/proto'),
          'content-encoding: gzip',
          `content-length: ${bomb.length}`,
        ];
        return { pieces: [head(lines), bomb], cut: false };
      },
      // Headers, once, twice or far too long.
      () => {
        const fields = signed(first, 'application/proto');
        const trick = random.pick([
          'signature: dispatch=:AAAA:',
          'signature-input: dispatch=();keyid="default"',
          `signature-input: x=("@method"),${' '.repeat(8000)}y`,
          `signature: ${'a'.repeat(8000)}`,
          `x-long: ${'a'.repeat(20_000)}`,
          'host: other',
          'content-type: application/json',
          'content-digest: sha-512=:AAAA:',
          'content-length: 3',
          '__proto__: 1',
          'connect-timeout-ms: soon',
          'bad header',
        ]);
        return { pieces: [head([...fields, `content-length: ${first.length}`, trick]), first], cut: false };
      },
    ];
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    const answers = new Map<string, number>();
    const start = performance.now();
    for (let index = 0; index < INPUTS / 4; index++) {
      const tried = random.pick(kinds)();
      const status = await exchange(port, tried);
      const name = status === undefined ? 'closed' : String(status);
      answers.set(name, (answers.get(name) ?? 0) + 1);
      // Only who goes away first is left without an answer.
      const known = status === undefined ? tried.cut : EXPECTED.has(status);
      const shown = Buffer.concat(tried.pieces.map((piece) => Buffer.from(piece)))
        .toString('base64')
        .slice(0, 40_000);
      expect({ index, known, rejections, shown: known ? '' : `seed ${SEED}, status ${name}: ${shown}` }).toEqual({
        index,
        known: true,
        rejections: [],
        shown: '',
      });
    }
    const last = [head([...signed(first, 'application/proto'), `content-length: ${first.length}`]), first];
    expect(await exchange(port, { pieces: last, cut: false })).toBe(200);
    const counts = [...answers].sort().map(([name, count]) => `${name}: ${count}`);
    process.stdout.write(
      `HTTP on ${framework}, verified ${verified}: ${INPUTS / 4} inputs of seed ${SEED} in ` +
        `${((performance.now() - start) / 1000).toFixed(1)} s; ${counts.join(', ')}\n`,
    );
    await app.close();
  });
});
