import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Test } from '@nestjs/testing';
import { DispatchClient, DispatchModule, type DispatchID } from '../../lib/index.js';
import { StandaloneWorld } from '../support/standalone-world.js';
import { command, commandJson } from '../support/command-line.js';
import { Shop } from './shop.js';

const KEY = 'sk_0123456789abcdef';
const UNKNOWN = '0'.repeat(32);
const folder = mkdtempSync(join(tmpdir(), 'dispatch-cli-'));
const store = join(folder, 'calls.db');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ids {
  readonly sum: DispatchID;
  readonly fail: DispatchID;
  readonly nap: DispatchID;
}

async function dispatchAll(client: DispatchClient, shop: Shop): Promise<Ids> {
  const sum = await client.dispatch(shop.sum, [1, 2], 10);
  const fail = await client.dispatch(shop.fail);
  const nap = await client.dispatch(shop.nap);
  await Promise.allSettled([client.wait(sum), client.wait(fail)]);
  while ((await client.get(nap))?.state !== 'suspended') await new Promise((resolve) => setTimeout(resolve, 5));
  return { sum, fail, nap };
}

interface ListedCall {
  readonly id: string;
  readonly function: string;
  readonly state: string;
  readonly status?: string;
}

/** The same commands, whatever they ask: `source` are the options that say where the calls are. */
function inspectsCalls(source: () => string[], ids: () => Ids): void {
  it('lists calls, as a table and as JSON', async () => {
    const { code, out } = await command('calls', 'list', '--roots', ...source());
    expect(code).toBe(0);
    const [head, ...rows] = out.trim().split('\n');
    expect(head).toMatch(/^ID +STATE +CREATED +ATTEMPT +FUNCTION$/);
    expect(rows.map((row) => row.split(/ {2,}/).at(-1))).toEqual(['Shop.nap', 'Shop.fail', 'Shop.sum']);
    const { calls } = await commandJson<{ calls: ListedCall[] }>('calls', 'list', '--state', 'failed', ...source());
    expect(calls).toMatchObject([
      { id: ids().fail, function: 'Shop.fail', state: 'failed', status: 'PERMANENT_ERROR' },
    ]);
    const several = await commandJson<{ calls: ListedCall[] }>(
      ...['calls', 'list', '--state', 'failed', 'suspended', ...source()],
    );
    expect(several.calls.map(({ state }) => state).sort()).toEqual(['failed', 'suspended']);
  });

  it('lists them page by page', async () => {
    const first = await commandJson<{ calls: ListedCall[]; next: string }>(
      'calls',
      'list',
      '--limit',
      '2',
      ...source(),
    );
    const rest = await commandJson<{ calls: ListedCall[]; next?: string }>(
      ...['calls', 'list', '--after', first.next, ...source()],
    );
    expect(rest.next).toBeUndefined();
    expect(new Set([...first.calls, ...rest.calls].map((call) => call.id)).size).toBe(5);
  });

  it('shows a call with its result and its children, and one with its error', async () => {
    const { out } = await command('calls', 'show', ids().sum, ...source());
    expect(out).toMatch(/^id {9}[0-9a-f]{32}\nfunction {3}Shop\.sum$/m);
    expect(out).toContain('result     60');
    expect(out).toContain('It made 2 calls:');
    const shown = await commandJson('calls', 'show', ids().fail, ...source());
    expect(shown).toMatchObject({
      state: 'failed',
      error: { type: 'RangeError', message: 'out of range' },
      children: [],
    });
  });

  it('cancels a call, and takes it up again', async () => {
    await expect(commandJson('calls', 'cancel', ids().nap, ...source())).resolves.toMatchObject({ cancelled: true });
    await command('calls', 'show', ids().nap, ...source());
    const { code, out } = await command('calls', 'retry', ids().fail, ...source());
    expect({ code, out }).toEqual({ code: 0, out: `${ids().fail} is taken up again.\n` });
  });

  it('ends with 3 for a call that is not there, and with 2 where there is nothing to do', async () => {
    for (const name of ['show', 'cancel', 'retry']) {
      const { code, err } = await command('calls', name, UNKNOWN, ...source());
      expect(code).toBe(3);
      expect(err.toLowerCase()).toContain(`there is no call ${UNKNOWN}`);
    }
    const { code, err } = await command('calls', 'retry', ids().sum, ...source());
    expect(code).toBe(2);
    expect(err).toContain('it has succeeded');
  });
}

describe('calls of a scheduler', () => {
  const world = new StandaloneWorld();
  let url: string;
  let ids: Ids;
  beforeAll(async () => {
    const scheduler = await world.scheduler({ apiKeys: [`orders=${KEY}`] });
    ({ url } = scheduler);
    const { app, client } = await world.application(Shop, { apiUrl: url, apiKey: KEY });
    ids = await dispatchAll(client, app.get(Shop));
  });
  afterAll(() => world.end());

  inspectsCalls(
    () => ['--url', url, '--api-key', KEY],
    () => ids,
  );

  it('needs the API key, which may be in a file', async () => {
    const file = join(folder, 'api.key');
    writeFileSync(file, `${KEY}\n`);
    expect((await command('calls', 'list', '--url', url, '--api-key', `@${file}`)).code).toBe(0);
    const { code, err } = await command('calls', 'list', '--url', url, '--api-key', 'sk_another_0123456789');
    expect(code).toBe(5);
    expect(err).toContain('--api-key (DISPATCH_API_KEY)');
  });
});

describe('calls of a store that nobody has open', () => {
  let ids: Ids;
  beforeAll(async () => {
    const module = await Test.createTestingModule({
      imports: [DispatchModule.forRoot({ scheduler: { store } })],
      providers: [Shop],
    }).compile();
    const app = module.createNestApplication({ logger: ['fatal'] });
    await app.init();
    ids = await dispatchAll(app.get(DispatchClient), app.get(Shop));
    await app.close();
  });

  inspectsCalls(
    () => ['--store', store],
    () => ids,
  );
});

describe('a place without calls', () => {
  it.each([
    [['--store', join(folder, 'typo.db')], 2, 'There is no store at'],
    [['--store', 'memory:'], 2, 'in the memory of the process'],
    [['--url', 'scheduler.example.com'], 2, '--url (DISPATCH_API_URL) is no address'],
    [['--url', 'http://127.0.0.1:9'], 4, 'cannot be reached'],
    [['--url', 'http://127.0.0.1:9', '--store', store], 2, 'give one of them'],
    [['--state', 'lost'], 2, 'Allowed choices are'],
    [['--limit', '0'], 2, '--limit is "0"'],
    [['--since', 'yesterday'], 2, '--since is "yesterday"'],
  ])('%j ends with %d and says why', async (args, expected, message) => {
    const { code, err, out } = await command('calls', 'list', ...args);
    expect({ code, out }).toEqual({ code: expected, out: '' });
    expect(err).toContain(message);
  });

  it('stays as it is', () => {
    expect(readdirSync(folder)).not.toContain('typo.db');
  });

  it('is told as JSON where that is asked for', async () => {
    const { err } = await command('calls', 'list', '--store', 'memory:', '--json');
    expect(JSON.parse(err)).toMatchObject({ error: { type: 'ConfigurationError' } });
  });
});
