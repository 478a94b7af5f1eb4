import { afterEach, expect, it } from '@jest/globals';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { examine, type Finding } from '../../lib/cli/diagnosis.js';
import { SqliteStore } from '../../lib/scheduler/index.js';
import { generateKeyPair } from '../../lib/signature/index.js';
import { freePort } from '../support/free-port.js';
import { StandaloneWorld } from '../support/standalone-world.js';
import { Shop } from './shop.js';

const KEY = 'sk_0123456789abcdef';
const world = new StandaloneWorld();
const folder = mkdtempSync(join(tmpdir(), 'dispatch-doctor-'));
const closings: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closings.splice(0)) close();
  await world.end();
  rmSync(folder, { recursive: true, force: true });
});

type Environment = Parameters<typeof examine>[0];

async function finding(check: Finding['check'], environment: Environment): Promise<Finding | undefined> {
  return (await examine(environment)).find((one) => one.check === check);
}

const verdicts = async (environment: Environment) =>
  Object.fromEntries((await examine(environment)).map(({ check, verdict }) => [check, verdict]));

it('finds nothing wrong where nothing is', async () => {
  const keys = generateKeyPair();
  const scheduler = await world.scheduler({ apiKeys: [KEY], signingKey: keys.privateKey });
  const { url } = await world.application(Shop, {
    apiUrl: scheduler.url,
    apiKey: KEY,
    verificationKey: keys.publicKey,
  });
  const environment = {
    DISPATCH_API_URL: scheduler.url,
    DISPATCH_API_KEY: KEY,
    DISPATCH_ENDPOINT_URL: url,
    DISPATCH_VERIFICATION_KEY: keys.publicKey,
  };
  const fine = { node: 'ok', settings: 'ok', keys: 'ok', scheduler: 'ok', clock: 'ok', endpoint: 'ok' };
  await expect(verdicts(environment)).resolves.toEqual(fine);
  await expect(verdicts({ ...environment, DISPATCH_SIGNING_KEY: keys.privateKey })).resolves.toEqual(fine);
});

it('finds settings that do not go together', async () => {
  await expect(finding('settings', { DISPATCH_API_KEY: KEY })).resolves.toMatchObject({
    verdict: 'failed',
    detail: expect.stringContaining('DISPATCH_API_URL'),
  });
});

it('finds keys that are none, and that do not belong together', async () => {
  const [one, other] = [generateKeyPair(), generateKeyPair()];
  const pairs = [
    [{ DISPATCH_VERIFICATION_KEY: 'x' }, 'failed', 'DISPATCH_VERIFICATION_KEY'],
    [{ DISPATCH_SIGNING_KEY: one.publicKey }, 'failed', 'holds a public key'],
    [
      { DISPATCH_SIGNING_KEY: one.privateKey, DISPATCH_VERIFICATION_KEY: other.publicKey },
      'failed',
      'is not the public key',
    ],
    [{}, 'warning', 'keys generate'],
  ] as const;
  for (const [environment, verdict, detail] of pairs) {
    const found = await finding('keys', { DISPATCH_STORE: 'memory:', ...environment });
    expect(found).toMatchObject({ verdict, detail: expect.stringContaining(detail) });
    expect(found?.detail).not.toContain(one.privateKeyBase64);
  }
});

it('tells who has a store open, and finds a file that is none', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'dispatch-doctor-')), 'calls.db');
  await expect(finding('store', { DISPATCH_STORE: path })).resolves.toMatchObject({ verdict: 'ok' });
  expect(readdirSync(join(path, '..'))).toEqual([]);
  const store = new SqliteStore(path);
  await store.open();
  await expect(finding('store', { DISPATCH_STORE: path })).resolves.toMatchObject({
    verdict: 'ok',
    detail: expect.stringContaining(`pid ${process.pid}`),
  });
  await store.close();
  writeFileSync(path, 'this is a text, and no store');
  await expect(finding('store', { DISPATCH_STORE: path })).resolves.toMatchObject({ verdict: 'failed' });
  rmSync(join(path, '..'), { recursive: true });
  await expect(finding('store', { DISPATCH_STORE: 'memory:' })).resolves.toMatchObject({ verdict: 'warning' });
});

it('finds a scheduler that is not there, and an API key that is wrong', async () => {
  const nobody = `http://127.0.0.1:${await freePort()}`;
  await expect(finding('scheduler', { DISPATCH_API_URL: nobody })).resolves.toMatchObject({
    verdict: 'failed',
    detail: expect.stringContaining('cannot be reached'),
  });
  const { url } = await world.scheduler({ apiKeys: [KEY] });
  await expect(finding('scheduler', { DISPATCH_API_URL: url, DISPATCH_API_KEY: 'x' })).resolves.toMatchObject({
    verdict: 'failed',
    detail: expect.stringContaining('DISPATCH_API_KEY'),
  });
});

it('finds a clock that goes wrong, and a scheduler of others', async () => {
  const server = createServer((request, response) => {
    response.setHeader('date', new Date(Date.now() - 60_000).toUTCString());
    // An empty answer is a list without calls.
    response.writeHead(request.url?.endsWith('/List') && isOld ? 404 : 200).end();
  });
  let isOld = false;
  closings.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await expect(finding('clock', { DISPATCH_API_URL: url })).resolves.toMatchObject({
    verdict: 'failed',
    detail: expect.stringMatching(/ \d+ s apart/),
  });
  isOld = true;
  await expect(finding('scheduler', { DISPATCH_API_URL: url })).resolves.toMatchObject({ verdict: 'warning' });
});

it('finds what keeps an endpoint from being called', async () => {
  const keys = generateKeyPair();
  const verified = await world.application(Shop, { scheduler: false, verificationKey: keys.publicKey });
  const open = await world.application(Shop, { scheduler: false });
  const closed = await world.application(Shop, { scheduler: { store: 'memory:' } });
  const nobody = `http://127.0.0.1:${await freePort()}`;
  const cases = [
    [open.url, {}, 'warning', 'without a signature'],
    [verified.url, {}, 'ok', 'wants signed requests'],
    [verified.url, { DISPATCH_SIGNING_KEY: keys.privateKey }, 'ok', 'accepts the signature'],
    [verified.url, { DISPATCH_SIGNING_KEY: generateKeyPair().privateKey }, 'failed', 'refuses the signature'],
    [closed.url, {}, 'failed', 'has no endpoint'],
    [nobody, {}, 'failed', 'cannot be reached'],
  ] as const;
  for (const [url, environment, verdict, detail] of cases) {
    const found = await finding('endpoint', {
      DISPATCH_STORE: 'memory:',
      DISPATCH_ENDPOINT_URL: url,
      ...environment,
    });
    expect(found).toMatchObject({ verdict, detail: expect.stringContaining(detail) });
  }
});
