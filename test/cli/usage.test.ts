import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRequire } from 'node:module';
import { command, commandJson } from '../support/command-line.js';
import { TestDatabase, schemaOf } from '../support/postgres.js';
import { StandaloneWorld } from '../support/standalone-world.js';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

describe('the command line', () => {
  it('tells its version', async () => {
    await expect(command('--version')).resolves.toEqual({ code: 0, out: `${version}\n`, err: '' });
  });

  it.each([
    [['calls', 'list', '--bogus'], "unknown option '--bogus'"],
    [['bogus'], "unknown command 'bogus'"],
    [['calls', 'list', '--state', 'gone'], 'Allowed choices are pending'],
    [['calls', 'show'], "missing required argument 'id'"],
    [['calls'], 'a command is missing'],
  ])('tells as JSON what is wrong about %j, where JSON is asked for', async (args, message) => {
    const { code, out, err } = await command(...args, '--json');
    expect([code, out]).toEqual([2, '']);
    expect(JSON.parse(err)).toEqual({
      error: { type: 'ConfigurationError', message: expect.stringContaining(message) },
    });
  });

  it('refuses a store that is none as a setting', async () => {
    const { code, err } = await command('migrate', '--store', 'mysql://host/database');
    expect(err).toContain('mysql:');
    expect(code).toBe(2);
  });

  it('says which option an API key is given with', async () => {
    const world = new StandaloneWorld();
    const { url } = await world.scheduler({ apiKeys: ['sk_0123456789abcdef'] });
    const { code, err } = await command('calls', 'list', '--url', url);
    await world.end();
    expect(err).toContain('--api-key');
    expect(code).toBe(5);
  });
});

describe('the command line on PostgreSQL', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await TestDatabase.open();
  });
  afterAll(() => database.close());

  it('makes tables when it is told to, and not by looking', async () => {
    const url = database.newUrl();
    const { code, err } = await command('calls', 'list', '--store', url);
    expect(err).toContain('nestjs-dispatch migrate');
    expect(code).toBe(4);
    const schemas = await database.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schemaOf(url)]);
    expect(schemas).toEqual([]);
    await expect(command('migrate', '--store', url)).resolves.toMatchObject({ code: 0 });
    await expect(commandJson('calls', 'list', '--store', url)).resolves.toEqual({ calls: [] });
  });

  it('keeps the password of a store to itself', async () => {
    const url = new URL(database.newUrl());
    url.searchParams.set('password', 'sesame');
    const { code, out, err } = await command('migrate', '--store', url.href);
    expect(code).toBe(0);
    expect(out + err).not.toContain('sesame');
  });
});
