import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { UnauthenticatedError } from '../../lib/index.js';
import { command, commandJson } from '../support/command-line.js';
import { StandaloneWorld } from '../support/standalone-world.js';
import { TypeScriptProcess } from '../support/typescript-process.js';
import { Shop } from './shop.js';

const MAIN = new URL('../../lib/cli/main.ts', import.meta.url);
const KEY = 'sk_0123456789abcdef';

// Processes take their time to start on a busy machine.
jest.setTimeout(180_000);

let folder: string;
let store: string;
let served: TypeScriptProcess | undefined;
const world = new StandaloneWorld();
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dispatch-serve-'));
  store = join(folder, 'calls.db');
});
afterEach(async () => {
  await world.end();
  await served?.kill();
  served = undefined;
  rmSync(folder, { recursive: true, force: true });
});

async function serve(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  served = new TypeScriptProcess(MAIN, ['serve', '--port', '0', '--store', store, '--dev', ...args], env);
  return (await served.until('Listening on ')).replace('Listening on ', '');
}

describe('serve', () => {
  it('serves applications, and lets runs in flight end when it is asked to end', async () => {
    const apiUrl = await serve(['--api-key', KEY]);
    const { app, client } = await world.application(Shop, { apiUrl, apiKey: KEY });
    const shop = app.get(Shop);
    await expect(client.call(shop.sum, [1, 2], 10)).resolves.toBe(60);
    const id = await client.dispatch(shop.held);
    while (!shop.isHeld) await delay(5);

    const ended = served?.terminate();
    while ((await fetch(`${apiUrl}/readyz`)).status !== 503) await delay(5);
    expect((await fetch(`${apiUrl}/healthz`)).status).toBe(200);
    await expect(client.dispatch(shop.double, 1)).rejects.toThrow('shutting down');
    shop.release();
    await ended;
    await expect(served?.ended).resolves.toBe(0);
    await expect(commandJson('calls', 'show', id, '--store', store)).resolves.toMatchObject({
      state: 'succeeded',
      result: 'released',
    });
  });

  it('goes on with what was left, keeps clients waiting meanwhile, and is named as who has the store open', async () => {
    const apiUrl = await serve(['--api-key', KEY]);
    const { port } = new URL(apiUrl);
    const { app, client } = await world.application(Shop, { apiUrl, apiKey: KEY });
    const id = await client.with({ delay: '2s' }).dispatch(app.get(Shop).double, 21);
    const { code, err } = await command('calls', 'list', '--store', store);
    expect(code).toBe(4);
    expect(err).toContain(`pid ${served?.pid}`);

    const result = client.wait(id);
    await served?.kill();
    await serve(['--port', port, '--api-key', KEY]);
    await expect(result).resolves.toBe(42);
  });

  it('reads secrets from files, and settings from variables', async () => {
    const file = join(folder, 'orders.key');
    writeFileSync(file, `${KEY}\n`);
    const apiUrl = await serve(['--api-key', `orders=@${file}`]);
    const { app, client } = await world.application(Shop, { apiUrl, apiKey: KEY });
    await expect(client.call(app.get(Shop).double, 2)).resolves.toBe(4);
    await served?.kill();
    const again = await serve([], { DISPATCH_API_KEYS: `orders=${KEY} mails=sk_mails_0123456789` });
    const wrong = await world.application(Shop, { apiUrl: again, apiKey: 'sk_nobody_0123456789' });
    await expect(wrong.client.dispatch(wrong.app.get(Shop).double, 1)).rejects.toThrow(UnauthenticatedError);
    const right = await world.application(Shop, { apiUrl: again, apiKey: KEY });
    await expect(right.client.list({ function: 'Shop.double' })).resolves.toMatchObject({
      calls: [{ state: 'succeeded' }],
    });
  });

  it('is followed by calls tail, also when it was away', async () => {
    const apiUrl = await serve(['--api-key', KEY]);
    const tail = new TypeScriptProcess(MAIN, ['calls', 'tail', '--interval', '20', '--json'], {
      DISPATCH_API_URL: apiUrl,
      DISPATCH_API_KEY: KEY,
    });
    const { app, client } = await world.application(Shop, { apiUrl, apiKey: KEY });
    const shop = app.get(Shop);
    // What is there before the first look is not told of, so it is called until that is done.
    const told: { id: string; state: string; function: string }[] = [];
    const calling = setInterval(() => void client.dispatch(shop.double, 1).catch(() => undefined), 200);
    while (!told.some(({ state }) => state === 'succeeded')) told.push(JSON.parse((await tail.line()) ?? ''));
    clearInterval(calling);
    expect(told[0]).toMatchObject({ function: 'Shop.double' });

    await served?.kill();
    await serve(['--port', new URL(apiUrl).port, '--api-key', KEY]);
    const id = await client.dispatch(shop.double, 2);
    for (let last = told[0]; last?.id !== id || last.state !== 'succeeded';)
      last = JSON.parse((await tail.line()) ?? '');
    await tail.terminate();
    await expect(tail.ended).resolves.toBe(0);
  });

  it.each([
    [['--host', '0.0.0.0'], 2, 'set an API key'],
    [['--api-key', 'short'], 2, 'fewer than 16'],
    [['--api-key', '@/nowhere/api.key'], 2, '--api-key names a file that cannot be read'],
    [['--signing-key', 'x'], 2, 'signing'],
    [['--allow-endpoint', 'ftp://x'], 2, "the pattern 'ftp://x'"],
    [['--port', '99999'], 2, '--port is "99999"'],
    [['--retention', 'long'], 2, '--retention is "long"'],
    [['--store', 'mysql://localhost'], 2, 'mysql:'],
    [['--tls-cert', '/nowhere/cert.pem'], 2, '--tls-cert names a file'],
    [['--prot', '1'], 2, 'Did you mean --port'],
  ])('refuses %j with exit code %d, and says what is wrong', async (args, expected, message) => {
    const { code, err } = await command('serve', '--store', 'memory:', '--port', '0', ...args);
    expect(err).toContain(message);
    expect(code).toBe(expected);
  });

  it('says so when its port is taken', async () => {
    const { url } = await world.scheduler();
    const { code, err } = await command('serve', '--store', 'memory:', '--port', new URL(url).port);
    expect(code).toBe(4);
    expect(err).toContain('EADDRINUSE');
  });
});
