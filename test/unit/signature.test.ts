import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createHash, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { inspect } from 'node:util';
import { ConfigurationError, Status, statusOf } from '../../lib/errors/index.js';
import {
  generateKeyPair,
  type HttpRequest,
  parsePrivateKey,
  parsePublicKey,
  SignatureError,
  signRequest,
  verifyRequest,
  type VerifyOptions,
} from '../../lib/signature/index.js';

const NOW = 1_763_800_000;
const pair = generateKeyPair();
const other = generateKeyPair();
const privateKey = parsePrivateKey(pair.privateKey, 'key');
const publicKey = parsePublicKey(pair.publicKey, 'key');

interface Received {
  method: string;
  path: string;
  authority?: string;
  scheme?: 'http' | 'https';
  headers: Record<string, string | string[]>;
  body: Uint8Array;
}

const plain: Received = {
  method: 'POST',
  path: '/dispatch.sdk.v1.FunctionService/Run',
  headers: { host: 'service.example.com', 'content-type': 'application/proto' },
  body: new Uint8Array(Buffer.from('body')),
};

/** A signed request; `change` is what happens to it on its way. */
function signed(change: (request: Received) => Partial<Received> = () => ({})): Received {
  const request = { ...plain, headers: { ...plain.headers, ...signRequest(plain, privateKey, { created: NOW }) } };
  return { ...request, ...change(request) };
}

/** Signs by hand, to say what `signRequest` would not. `lines` are the components of the base before the parameters. */
function handSigned(input: string, lines: readonly string[], label = 'sig'): Record<string, string> {
  const base = [...lines, `"@signature-params": ${input}`].join('\n');
  const bytes = sign(null, Buffer.from(base, 'latin1'), createPrivateKey(pair.privateKey));
  return { 'signature-input': `${label}=${input}`, signature: `${label}=:${bytes.toString('base64')}:` };
}

const digest = `sha-512=:${createHash('sha512').update(plain.body).digest('base64')}:`;
const COVERED = '"@method" "@path" "@authority" "content-type" "content-digest"';
const LINES = [
  '"@method": POST',
  `"@path": ${plain.path}`,
  '"@authority": service.example.com',
  '"content-type": application/proto',
  `"content-digest": ${digest}`,
];

function byHand(
  extraComponents = '',
  extraLines: string[] = [],
  parameters = `;created=${NOW};keyid="default"`,
): Received {
  const headers = handSigned(`(${COVERED}${extraComponents})${parameters}`, [...LINES, ...extraLines]);
  return { ...plain, headers: { ...plain.headers, 'content-digest': digest, ...headers } };
}

/** 200, or the status of the refusal. */
function answer(request: HttpRequest, options: VerifyOptions = {}, keys = [publicKey]): number {
  try {
    verifyRequest(request, keys, { now: NOW, ...options });
    return 200;
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error;
    expect(statusOf(error)).toBe(error.httpStatus === 401 ? Status.UNAUTHENTICATED : Status.PERMISSION_DENIED);
    return error.httpStatus;
  }
}

describe('a signed request', () => {
  test('holds', () => {
    expect(answer(signed())).toBe(200);
    expect(answer(byHand())).toBe(200);
  });

  test('has a label, a key id, an algorithm and the five components', () => {
    expect(signRequest(plain, privateKey, { created: NOW })['signature-input']).toBe(
      `dispatch=(${COVERED});created=${NOW};keyid="default";alg="ed25519"`,
    );
  });

  test('has the same signature from node:crypto', () => {
    const headers = signRequest(plain, privateKey, { created: NOW });
    const input = headers['signature-input'].slice('dispatch='.length);
    expect(handSigned(input, LINES, 'dispatch').signature).toBe(headers.signature);
  });

  test('holds for any path, body and content type', () => {
    const path = fc.webPath().map((text) => text || '/');
    const type = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/);
    fc.assert(
      fc.property(path, fc.uint8Array({ maxLength: 100 }), type, (url, body, contentType) => {
        const request = { method: 'POST', path: url, headers: { host: 'h:8000', 'content-type': contentType }, body };
        const headers = { ...request.headers, ...signRequest(request, privateKey, { created: NOW }) };
        expect(answer({ ...request, headers })).toBe(200);
        expect(answer({ ...request, headers, body: Uint8Array.of(...body, 0) })).toBe(403);
      }),
      { numRuns: 30 },
    );
  });

  test('needs a content type', () => {
    expect(() => signRequest({ ...plain, headers: { host: 'x' } }, privateKey)).toThrow(/no content-type/);
  });

  test("is signed with the machine's clock when nothing else is said", () => {
    const headers = { ...plain.headers, ...signRequest(plain, privateKey) };
    expect(() => verifyRequest({ ...plain, headers }, publicKey)).not.toThrow();
  });
});

describe('what happens on the way', () => {
  test.each<[string, (request: Received) => Partial<Received>, number]>([
    ['the method changed', () => ({ method: 'PUT' }), 403],
    ['the path changed', () => ({ path: '/other' }), 403],
    ['a query was added, which is not covered', () => ({ path: `${plain.path}?x=1` }), 200],
    ['the body changed', () => ({ body: Uint8Array.of(1) }), 403],
    ['the host changed', ({ headers }) => ({ headers: { ...headers, host: 'evil.example.com' } }), 403],
    ['the host in upper case', ({ headers }) => ({ headers: { ...headers, host: 'SERVICE.example.com' } }), 200],
    ['the default port named', ({ headers }) => ({ headers: { ...headers, host: 'service.example.com:443' } }), 200],
    ['another port', ({ headers }) => ({ headers: { ...headers, host: 'service.example.com:8443' } }), 403],
    [
      'the port of another scheme',
      ({ headers }) => ({ scheme: 'https', headers: { ...headers, host: 'service.example.com:80' } }),
      403,
    ],
    ['the content type changed', ({ headers }) => ({ headers: { ...headers, 'content-type': 'text/plain' } }), 403],
    [
      'a second content type',
      ({ headers }) => ({ headers: { ...headers, 'content-type': ['application/proto', 'x/y'] } }),
      403,
    ],
    ['the content type removed', ({ headers: { 'content-type': _, ...headers } }) => ({ headers }), 401],
    [
      'white space around a header',
      ({ headers }) => ({ headers: { ...headers, 'content-type': ' \tapplication/proto  ' } }),
      200,
    ],
    ['another digest', ({ headers }) => ({ headers: { ...headers, 'content-digest': 'sha-512=:AAAA:' } }), 403],
    [
      'header names in any case',
      ({ headers }) => ({
        headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value])),
      }),
      200,
    ],
    ['the signature removed', ({ headers: { signature: _, ...headers } }) => ({ headers }), 401],
    ['the input removed', ({ headers: { 'signature-input': _, ...headers } }) => ({ headers }), 401],
    [
      'another label in the signature',
      ({ headers }) => ({ headers: { ...headers, signature: String(headers.signature).replace('dispatch', 'x') } }),
      401,
    ],
    ['a token for a signature', ({ headers }) => ({ headers: { ...headers, signature: 'dispatch=abc' } }), 401],
    ['a flag for a signature', ({ headers }) => ({ headers: { ...headers, signature: 'dispatch' } }), 401],
    ['an empty signature', ({ headers }) => ({ headers: { ...headers, signature: 'dispatch=::' } }), 403],
    ['an item for an input', ({ headers }) => ({ headers: { ...headers, 'signature-input': 'dispatch="x"' } }), 401],
    ['an empty input', ({ headers }) => ({ headers: { ...headers, 'signature-input': '' } }), 401],
    [
      'a longer life',
      ({ headers }) => ({
        headers: {
          ...headers,
          'signature-input': String(headers['signature-input']).replace(String(NOW), String(NOW + 1)),
        },
      }),
      403,
    ],
  ])('%s', (_, change, status) => {
    expect(answer(signed(change))).toBe(status);
  });

  test('duplicated header lines are joined', () => {
    const request = signed();
    const pairs = Object.entries(request.headers).map(([name, value]): [string, string] => [name, String(value)]);
    expect(answer({ ...request, headers: pairs })).toBe(200);
    expect(answer({ ...request, headers: new Headers(pairs) })).toBe(200);
    expect(answer({ ...request, headers: [...pairs, ['Content-Type', 'x/y']] })).toBe(403);
    expect(answer({ ...request, headers: [...pairs, ['Signature', 'dispatch=:AAAA:']] })).toBe(403);
    expect(answer({ ...request, headers: [...pairs, ['Signature-Input', 'dispatch=("@method")']] })).toBe(401);
  });

  test('a folded line counts as one', () => {
    const request = byHand(' "x-folded"', ['"x-folded": a b']);
    expect(answer({ ...request, headers: { ...request.headers, 'x-folded': 'a \r\n\t b' } })).toBe(200);
  });

  test('a line break that could pass for another component is refused', () => {
    const request = byHand(' "x"', ['"x": a']);
    expect(answer({ ...request, headers: { ...request.headers, x: 'a\n"y": b' } })).toBe(401);
  });

  test('anything at all in the headers is refused, and nothing else', () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'dispatch=("@method");:,\\ 1?%*') }));
    fc.assert(
      fc.property(text, text, text, (input, signature, contentDigest) => {
        const headers = { ...plain.headers, 'signature-input': input, signature, 'content-digest': contentDigest };
        expect([401, 403]).toContain(answer({ ...plain, headers }));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('time', () => {
  test.each<[string, VerifyOptions, number]>([
    ['5 minutes old', { now: NOW + 300 }, 200],
    ['a second more', { now: NOW + 301 }, 403],
    ['5 seconds in the future', { now: NOW - 5 }, 200],
    ['a second more', { now: NOW - 6 }, 403],
    ['an age of choice', { now: NOW + 11, maxAge: 10 }, 403],
    ['a future of choice', { now: NOW - 60, maxFuture: 60 }, 200],
  ])('%s', (_, options, status) => {
    expect(answer(signed(), options)).toBe(status);
  });

  test('expires is honoured', () => {
    const expiring = (expires: number) => byHand('', [], `;created=${NOW};expires=${expires};keyid="default"`);
    expect(answer(expiring(NOW + 1))).toBe(200);
    expect(answer(expiring(NOW))).toBe(403);
  });

  test('created must be there and be an integer', () => {
    expect(answer(byHand('', [], ';keyid="default"'))).toBe(401);
    expect(answer(byHand('', [], `;created="${NOW}";keyid="default"`))).toBe(401);
    expect(answer(byHand('', [], `;created=${NOW}.5;keyid="default"`))).toBe(401);
  });
});

describe('what a signature covers', () => {
  test.each(['@method', '@path', '@authority', 'content-type', 'content-digest'])('%s is not optional', (name) => {
    const index = COVERED.split(' ').indexOf(`"${name}"`);
    const covered = COVERED.split(' ').filter((_, at) => at !== index);
    const lines = LINES.filter((_, at) => at !== index);
    const headers = handSigned(`(${covered.join(' ')});created=${NOW};keyid="default"`, lines);
    const request = { ...plain, headers: { ...plain.headers, 'content-digest': digest, ...headers } };
    expect(answer(request)).toBe(401);
    expect(() => verifyRequest(request, publicKey, { now: NOW })).toThrow(`does not cover ${name}`);
  });

  test('has the attempt where the request has one', () => {
    const headers = { ...plain.headers, 'dispatch-attempt': '2' };
    const second = signRequest({ ...plain, headers }, privateKey, { created: NOW });
    const request = { ...plain, headers: { ...headers, ...second } };
    expect(second['signature-input']).toContain(`(${COVERED} "dispatch-attempt")`);
    expect(answer(request)).toBe(200);
    expect(answer({ ...request, headers: { ...request.headers, 'dispatch-attempt': '3' } })).toBe(403);
    expect(answer(signed(({ headers: first }) => ({ headers: { ...first, 'dispatch-attempt': '2' } })))).toBe(401);
  });

  test('may be more', () => {
    const lines = ['"@query": ?a=1', `"@request-target": ${plain.path}?a=1`, '"@scheme": https'];
    const target = `"@target-uri": https://service.example.com${plain.path}?a=1`;
    const request = byHand(' "@query" "@request-target" "@scheme" "@target-uri"', [...lines, target]);
    const url = `https://service.example.com${plain.path}?a=1`;
    expect(answer({ ...request, url })).toBe(200);
    expect(answer({ ...request, path: `${plain.path}?a=1`, scheme: 'https' })).toBe(200);
    expect(answer({ ...request, path: `${plain.path}?a=1` })).toBe(401);
    expect(answer(byHand(' "@query"', ['"@query": ?']))).toBe(200);
  });

  test.each(['"content-type";sf', '"content-type";bs', '"content-digest";key="sha-512"', '"@method";req', '"x";tr'])(
    'with parameters (%s) is refused',
    (component) => {
      expect(answer(byHand(` ${component}`, [`${component}: x`]))).toBe(401);
    },
  );

  test('with parameters does not count as covered', () => {
    const covered = COVERED.replace('"content-type"', '"content-type";bs');
    const headers = handSigned(`(${covered});created=${NOW};keyid="default"`, LINES);
    expect(answer({ ...plain, headers: { ...plain.headers, 'content-digest': digest, ...headers } })).toBe(401);
  });

  test.each([
    ' "@status"',
    ' "@query-param";name="x"',
    ' "@unknown"',
    ' "@signature-params"',
    ' "@method"',
    ' "missing"',
    ' "Content-Type"',
    ' 7',
    ' token',
  ])('that cannot be read (%s) is refused', (component) => {
    expect(answer(byHand(component, [`${component.trim()}: POST`]))).toBe(401);
  });
});

describe('several signatures', () => {
  const both = (first: Record<string, string>, second: Record<string, string>): Received => ({
    ...plain,
    headers: {
      ...plain.headers,
      'content-digest': digest,
      'signature-input': [first['signature-input']!, second['signature-input']!],
      signature: [first.signature!, second.signature!],
    },
  });
  const good = handSigned(`(${COVERED});created=${NOW};keyid="default"`, LINES, 'good');

  test('must all hold', () => {
    const alsoGood = handSigned(`("@method");created=${NOW};keyid="default"`, ['"@method": POST'], 'less');
    const bad = handSigned(`("@method");created=${NOW};keyid="default"`, ['"@method": PUT'], 'bad');
    expect(answer(both(good, alsoGood))).toBe(200);
    expect(answer(both(alsoGood, good))).toBe(200);
    expect(answer(both(good, bad))).toBe(403);
    expect(answer(both(bad, good))).toBe(403);
  });

  test('of other keys are not looked at', () => {
    const foreign = handSigned(`("x-unknown";bs);created=1;keyid="proxy"`, [], 'proxy');
    expect(answer(both(foreign, good))).toBe(200);
    expect(answer(both(foreign, foreign))).toBe(401);
  });

  test('in great number are refused before any is checked', () => {
    const inputs = Array.from({ length: 9 }, (_, index) => `s${index}=(${COVERED});created=${NOW};keyid="default"`);
    const values = inputs.map((_, index) => `s${index}=:AAAA:`);
    const headers = { ...plain.headers, 'content-digest': digest, 'signature-input': inputs, signature: values };
    expect(answer({ ...plain, headers })).toBe(401);
  });

  test('of another algorithm under our key id are refused', () => {
    expect(answer(byHand('', [], `;created=${NOW};keyid="default";alg="hmac-sha256"`))).toBe(401);
    expect(answer(byHand('', [], `;created=${NOW};keyid="default";alg=ed25519`))).toBe(401);
  });
});

describe('digests', () => {
  const withDigest = (value: string) => {
    const lines = [...LINES.slice(0, 4), `"content-digest": ${value}`];
    const headers = handSigned(`(${COVERED});created=${NOW};keyid="default"`, lines);
    return answer({ ...plain, headers: { ...plain.headers, 'content-digest': value, ...headers } });
  };
  const sha256 = `sha-256=:${createHash('sha256').update(plain.body).digest('base64')}:`;

  test('of SHA-512 and SHA-256 are checked, each that is there', () => {
    expect(withDigest(sha256)).toBe(200);
    expect(withDigest(`${sha256}, ${digest}`)).toBe(200);
    expect(withDigest(`md5=:AAAA:, ${sha256}`)).toBe(200);
    expect(withDigest(`${sha256}, sha-512=:AAAA:`)).toBe(403);
    expect(withDigest(`sha-256=:${Buffer.alloc(32).toString('base64')}:, ${digest}`)).toBe(403);
  });

  test('of other algorithms, or malformed, are none', () => {
    expect(withDigest('md5=:AAAA:')).toBe(401);
    expect(withDigest('sha-256="text"')).toBe(401);
    expect(withDigest('sha-256=:')).toBe(401);
  });
});

describe('behind a proxy', () => {
  test('the authority is what the outside knows', () => {
    const request = signed(({ headers }) => ({ headers: { ...headers, host: 'internal:3000' } }));
    expect(answer(request)).toBe(403);
    expect(answer(request, { authority: 'service.example.com' })).toBe(200);
    expect(answer(request, { authority: 'https://Service.example.com:443/prefix' })).toBe(200);
    expect(answer({ ...request, authority: 'service.example.com' })).toBe(200);
  });
});

describe('keys', () => {
  test('may be several while one replaces another', () => {
    const keys = [parsePublicKey(other.publicKey, 'key'), publicKey];
    expect(answer(signed(), {}, keys)).toBe(200);
    expect(answer(signed(), {}, keys.slice(0, 1))).toBe(403);
    expect(answer(signed(), {}, [])).toBe(403);
  });

  test('are read as PEM, PEM with literal line breaks, and base64', () => {
    for (const text of [pair.publicKey, pair.publicKey.replaceAll('\n', '\\n'), ` ${pair.publicKeyBase64}\n`]) {
      expect(Buffer.from(parsePublicKey(text, 'key').bytes).toString('base64')).toBe(pair.publicKeyBase64);
    }
    for (const text of [pair.privateKey, pair.privateKey.replaceAll('\n', '\\n'), pair.privateKeyBase64]) {
      expect(Buffer.from(parsePrivateKey(text, 'key').bytes).toString('base64')).toBe(pair.privateKeyBase64);
    }
  });

  test('that cannot be used name the setting and never show themselves', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const bad: [string, RegExp][] = [
      ['', /is no public key/],
      ['secret', /is no public key: give an Ed25519 public key as PEM .* or as base64/],
      ['AAAA', /is no public key/],
      [pair.privateKey, /holds a private key/],
      ['-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----', /cannot be read/],
      [rsa.publicKey.export({ format: 'pem', type: 'spki' }).toString(), /is a key of type rsa/],
      [Buffer.alloc(32).toString('base64'), /is no Ed25519 public key/],
      [Buffer.alloc(32, 0xff).toString('base64'), /is no Ed25519 public key/],
    ];
    for (const [text, message] of bad) {
      const parse = () => parsePublicKey(text, 'DISPATCH_VERIFICATION_KEY');
      expect(parse).toThrow(ConfigurationError);
      expect(parse).toThrow(/^DISPATCH_VERIFICATION_KEY /);
      expect(parse).toThrow(message);
      if (text.length > 10) expect(parse).not.toThrow(text.slice(-40));
    }
    expect(() => parsePrivateKey(pair.publicKey, 'SIGNING_KEY')).toThrow(/^SIGNING_KEY holds a public key/);
    expect(() => parsePrivateKey('x', 'SIGNING_KEY')).toThrow(/^SIGNING_KEY is no private key/);
  });

  test('that are private do not show in logs', () => {
    expect(inspect(privateKey, { depth: 9 })).toBe('PrivateKey {}');
    expect(JSON.stringify(privateKey)).toBe('{}');
  });
});
