import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { EndpointRequest } from '../../lib/endpoint/index.js';
import { verifierOf } from '../../lib/endpoint/index.js';
import { generateKeyPair, parsePrivateKey, signRequest } from '../../lib/signature/index.js';
import { asBinary, asJson, changedInside, ODD_JSON, requests, unfolding } from './corpus.js';
import { mutate } from './mutations.js';
import { Random } from './random.js';
import { createWorld, nameOfAnswer, PATH, post, suspendedStates, type World } from './world.js';

/** FUZZ_SEED tries other inputs, FUZZ_INPUTS more of them. */
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const INPUTS = Number(process.env['FUZZ_INPUTS'] ?? 20_000);
const SIGNED_INPUTS = INPUTS / 4;

const CONTENT_TYPES = [
  undefined,
  '',
  'application/proto',
  'application/octet-stream',
  'application/json',
  'Application/JSON; charset=utf-8',
  'application/json, application/proto',
  'application/grpc',
  'text/plain',
  ';',
  '__proto__',
] as const;
const ENCODINGS = [undefined, 'identity', 'gzip', 'br', 'deflate, gzip', '', 'zstd', 'constructor'] as const;
const LENGTHS = ['0', '-1', '1e3', '16000001', '99999999999999999999', ' 5', '0x10', ''] as const;
const TIMEOUTS = ['', '-1', 'NaN', '1e9', '99999999999', '60000', '1,2'] as const;

/** How often each answer was given. */
const answers = new Map<string, number>();
/** Longer than any input takes: a run that hangs is a fault as well. */
const STUCK = 20_000;
const rejections: unknown[] = [];
const onRejection = (reason: unknown): number => rejections.push(reason);
const prototype = Reflect.ownKeys(Object.prototype).map(String).join();

beforeAll(() => {
  process.on('unhandledRejection', onRejection);
});

afterAll(() => {
  process.off('unhandledRejection', onRejection);
});

async function tryOut(world: World, request: EndpointRequest, input: string): Promise<number> {
  const describeInput = async (): Promise<string> => {
    const body = Buffer.from(await request.read(Infinity)).toString('base64');
    return `seed ${SEED}, ${input}\n${JSON.stringify(request.headers)}\n${body}`;
  };
  let timer: NodeJS.Timeout | undefined;
  const stuck = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('there is no answer')), STUCK);
  });
  try {
    const { status, headers, body } = await Promise.race([world.endpoint.handle(request), stuck]);
    const name = nameOfAnswer(status, headers['content-type'], body);
    answers.set(name, (answers.get(name) ?? 0) + 1);
    if (world.errors.length > 0) throw new Error(world.errors.join());
    if (rejections.length > 0) throw new Error(`unhandled: ${String(rejections[0])}`);
    if (Reflect.ownKeys(Object.prototype).map(String).join() !== prototype)
      throw new Error('Object.prototype was changed');
    return status;
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${await describeInput()}`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}

function oddHeaders(random: Random): Record<string, string | undefined> {
  switch (random.below(5)) {
    case 0:
      return { 'content-type': random.pick(CONTENT_TYPES) };
    case 1:
      return { 'content-encoding': random.pick(ENCODINGS) };
    case 2:
      return { 'content-length': random.pick(LENGTHS) };
    case 3:
      return { 'connect-timeout-ms': random.pick(TIMEOUTS) };
    default:
      return {};
  }
}

/** Bytes that are in use once everything else has been collected. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

const nothing = new Uint8Array();
const megabytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MB`;

function report(what: string, inputs: number, before: number, after: number, start: number): void {
  const counts = [...answers].sort(([a], [b]) => a.localeCompare(b)).map(([name, count]) => `${name}: ${count}`);
  process.stdout.write(
    [
      `${what}: ${inputs} inputs of seed ${SEED} in ${((performance.now() - start) / 1000).toFixed(1)} s;`,
      `heap ${megabytes(before)} before, ${megabytes(after)} after\n  ${counts.join(', ')}\n`,
    ].join(' '),
  );
  answers.clear();
}

describe('hostile input', () => {
  it(
    'is refused or answered, whatever it is',
    async () => {
      const world = createWorld();
      const random = new Random(SEED);
      const honest = requests(await suspendedStates(world));
      const binary = honest.map(asBinary);
      const json = [
        ...honest.map(asJson).filter((one) => one !== undefined),
        ...ODD_JSON.map((one) => Buffer.from(one)),
      ];

      const fuzz = async (from: number, to: number): Promise<void> => {
        for (let index = from; index < to; index++) {
          const isJson = random.chance(0.25);
          const pool = isJson ? json : binary;
          const at = random.below(pool.length);
          const other = pool[random.below(pool.length)] ?? nothing;
          const request = honest[at];
          const { name, bytes } =
            !isJson && request !== undefined && random.chance(0.6)
              ? { name: 'changed inside', bytes: asBinary(changedInside(request, other, random)) }
              : mutate(pool[at] ?? nothing, other, random);
          const headers = {
            'content-type': isJson ? 'application/json' : 'application/proto',
            ...(random.chance(0.1) ? oddHeaders(random) : {}),
          };
          await tryOut(world, post(bytes, headers), `input ${index} (${name})`);
        }
      };
      const start = performance.now();
      // What is loaded and compiled on the way is no leak.
      await fuzz(0, INPUTS / 10);
      const before = heapInUse();
      await fuzz(INPUTS / 10, INPUTS);
      await tryOut(world, post(asBinary(unfolding())), 'the unfolding graph');
      const after = heapInUse();
      report('universal handler', INPUTS + 1, before, after, start);
      expect(after - before).toBeLessThan(48 * 1024 * 1024);
      expect(await tryOut(world, post(binary[0] ?? nothing), 'the first again')).toBe(200);
      world.runtime.close();
    },
    STUCK * 30,
  );

  it(
    'does not pass for a signed request',
    async () => {
      const keys = generateKeyPair();
      const key = parsePrivateKey(keys.privateKey, 'the key');
      const now = 1_900_000_000;
      const verify = verifierOf({ value: keys.publicKey, source: 'the key' }, { now: () => now * 1000 });
      const world = createWorld(verify);
      const random = new Random(SEED);
      const [first, ...others] = requests([]).map(asBinary);
      const body = first ?? nothing;
      const url = `http://service${PATH}`;
      const signed = new Map<string, Record<string, string>>();
      const sign = (content: Uint8Array, created = now, to = url): Record<string, string> => {
        const id = `${created} ${to} ${content === body}`;
        const made = signed.get(id) ?? signAnew(content, created, to);
        signed.set(id, made);
        return made;
      };
      const signAnew = (content: Uint8Array, created: number, to: string): Record<string, string> => {
        const headers = { 'content-type': 'application/proto' };
        return {
          host: 'service',
          ...headers,
          ...signRequest({ method: 'POST', url: to, headers, body: content }, key, { created }),
        };
      };
      const honest = sign(body);
      // Each makes the request one that its signature is not of.
      const lies: readonly [
        () => [Uint8Array, Record<string, string>],
        ...(() => [Uint8Array, Record<string, string>])[],
      ] = [
        () => [others[random.below(others.length)] ?? body, honest],
        () => [body, { ...honest, host: 'elsewhere' }],
        () => [body, { ...honest, 'content-type': 'application/json' }],
        () => [body, { ...honest, 'content-digest': sign(others[0] ?? body)['content-digest'] ?? '' }],
        () => [body, { ...honest, signature: sign(body, now - 1)['signature'] ?? '' }],
        () => [body, sign(body, now - 301)],
        () => [body, sign(body, now + 6)],
        () => [body, sign(body, now, `${url}/`)],
        () => [body, without(honest, random.pick(['signature', 'signature-input', 'content-digest', 'host']))],
        () => [body, changed(honest, random.pick(['signature', 'signature-input', 'content-digest']), random)],
        () => [body, { ...honest, 'signature-input': `${honest['signature-input'] ?? ''}${trick(random)}` }],
      ];
      const start = performance.now();
      const before = heapInUse();
      expect(await tryOut(world, post(body, honest), 'the honest one')).toBe(200);
      for (let index = 0; index < SIGNED_INPUTS; index++) {
        const [content, headers] = random.pick(lies)();
        const status = await tryOut(world, post(content, headers), `signed input ${index}`);
        const input = JSON.stringify({ index, headers, content: Buffer.from(content).toString('base64') });
        expect({ input, refused: status === 401 || status === 403 }).toEqual({ input, refused: true });
      }
      const after = heapInUse();
      expect(await tryOut(world, post(body, honest), 'the honest one again')).toBe(200);
      report('signatures', SIGNED_INPUTS + 2, before, after, start);
      expect(after - before).toBeLessThan(48 * 1024 * 1024);
      world.runtime.close();
    },
    STUCK * 30,
  );
});

function without(headers: Record<string, string>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
}

/** One character of the header becomes another one that means something else. */
function changed(headers: Record<string, string>, name: string, random: Random): Record<string, string> {
  const value = headers[name] ?? '';
  const at = random.below(value.length);
  const other = random.pick(['A', '0', '"', ':', ';', '=', '(', ')', ',', '\u00ff', '\0', '~']);
  // The last letter of base64 has bits that nobody reads; a change of them is none.
  if (other === value[at] || /^.?=*:/.test(value.slice(at))) return without(headers, name);
  return { ...headers, [name]: value.slice(0, at) + other + value.slice(at + 1) };
}

/** What makes a Signature-Input another one, or none. */
function trick(random: Random): string {
  return random.pick([
    ';alg="hmac-sha256"',
    ';created=1',
    ';expires=1',
    ';created=99999999999999999999',
    ';created="now"',
    ';nonce="other"',
    ', dispatch=()',
    ', other=("@method");created=1900000000;keyid="default";alg="ed25519"',
    ', other=("@method" "@method");created=1900000000;keyid="default"',
    ', other=("content-digest";key="sha-512");created=1900000000;keyid="default"',
    `, ${'a'.repeat(8000)}`,
    `,${' '.repeat(15_000)}x`,
    `, x=${'('.repeat(5000)}`,
    ', __proto__=();keyid="default"',
    '\r\n x=1',
  ]);
}
