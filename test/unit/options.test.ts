import { describe, expect, it } from '@jest/globals';
import type { DispatchModuleOptions } from '../../lib/dispatch.options.js';
import { resolveSettings } from '../../lib/dispatch.settings.js';
import { ConfigurationError, Status } from '../../lib/errors/index.js';

const settings = (options: unknown, environment: Record<string, string> = {}) =>
  resolveSettings(options as DispatchModuleOptions, environment);

const refusal = (options: unknown, environment: Record<string, string> = {}): string => {
  try {
    settings(options, environment);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return (error as Error).message;
  }
  throw new Error('the options were taken');
};

describe('the mode', () => {
  it('is the embedded scheduler on a file when nothing is said', () => {
    expect(settings({}).mode).toMatchObject({
      kind: 'embedded',
      store: { value: './.dispatch/dispatch.db' },
      run: true,
      shutdownGrace: 10_000,
    });
  });

  it.each<Record<string, string>>([{ NODE_ENV: 'test' }, { JEST_WORKER_ID: '1' }, { VITEST_WORKER_ID: '1' }])(
    'keeps calls in memory in tests (%j)',
    (environment) => {
      expect(settings({}, environment).mode).toMatchObject({ store: { value: 'memory:' } });
    },
  );

  it('takes the store of the variable, and that of the option before it, in tests too', () => {
    const environment = { NODE_ENV: 'test', DISPATCH_STORE: './calls.db' };
    expect(settings({}, environment).mode).toMatchObject({ store: { value: './calls.db', source: 'DISPATCH_STORE' } });
    expect(settings({ scheduler: { store: './mine.db' } }, environment).mode).toMatchObject({
      store: { value: './mine.db', source: 'the option scheduler.store' },
    });
  });

  it('is a remote scheduler as soon as there is an API URL', () => {
    const environment = { DISPATCH_API_URL: 'https://api.example.com', DISPATCH_API_KEY: 'secret' };
    expect(settings({ scheduler: { concurrency: 3 } }, environment).mode).toMatchObject({
      kind: 'remote',
      apiUrl: { source: 'DISPATCH_API_URL' },
      apiKey: { value: 'secret', source: 'DISPATCH_API_KEY' },
    });
  });

  it('is none when the scheduler is false', () => {
    expect(settings({ scheduler: false }).mode).toEqual({ kind: 'endpoint' });
  });

  it('refuses an API key without an address, and does not print the key', () => {
    const message = refusal({}, { DISPATCH_API_KEY: 'top-secret' });
    expect(message).toContain('DISPATCH_API_KEY');
    expect(message).toContain('DISPATCH_API_URL');
    expect(message).not.toContain('top-secret');
  });
});

describe('the four settings', () => {
  const environment = {
    DISPATCH_ENDPOINT_URL: 'https://env.example.com',
    DISPATCH_API_URL: 'https://env-api.example.com',
    DISPATCH_API_KEY: 'env-key',
    DISPATCH_VERIFICATION_KEY: 'env-verification',
  };

  it('come from their variables', () => {
    const { endpointUrl, verificationKey, mode } = settings({}, environment);
    expect(endpointUrl?.value.href).toBe('https://env.example.com/');
    expect(verificationKey).toEqual({ value: 'env-verification', source: 'DISPATCH_VERIFICATION_KEY' });
    expect(mode).toMatchObject({ kind: 'remote', apiKey: { value: 'env-key' } });
  });

  it('come from the code where it has them', () => {
    const options = { endpointUrl: 'http://code', apiUrl: 'http://code-api', apiKey: 'code', verificationKey: 'v' };
    const { endpointUrl, verificationKey, mode } = settings(options, environment);
    expect(endpointUrl).toMatchObject({ source: 'the option endpointUrl' });
    expect(verificationKey?.value).toBe('v');
    expect(mode).toMatchObject({ apiUrl: { source: 'the option apiUrl' }, apiKey: { value: 'code' } });
  });

  it('count as not set when their variable is empty', () => {
    expect(settings({}, { DISPATCH_API_KEY: '', DISPATCH_API_URL: ' ' }).mode.kind).toBe('embedded');
  });

  it.each(['http://localhost:3000', 'https://app.example.com/base', 'bridge://xyz'])(
    'take %s as the address of the application',
    (address) => {
      expect(settings({ endpointUrl: address }).endpointUrl?.value.host).not.toBe('');
    },
  );

  it.each(['app.example.com', 'ftp://host', 'https://', 'localhost:3000', 'https://h?query=1', 'https://me:pw@host'])(
    'refuse %s as the address of the application, naming where it came from',
    (address) => {
      expect(refusal({ endpointUrl: address })).toMatch(/^The option endpointUrl .*https:\/\/host/);
      expect(refusal({}, { DISPATCH_ENDPOINT_URL: address })).toMatch(/^DISPATCH_ENDPOINT_URL /);
    },
  );

  it('refuse bridge: as the address of the scheduler', () => {
    expect(refusal({ apiUrl: 'bridge://x' })).toContain('apiUrl');
  });

  it('do not print a password that an address has', () => {
    expect(refusal({ endpointUrl: 'https://me:pass-word@host' })).not.toContain('pass-word');
  });
});

describe('bad options', () => {
  it.each([
    [{ endpointURL: 'x' }, 'did you mean endpointUrl?'],
    [{ scheduler: { stor: 'x' } }, 'did you mean scheduler.store?'],
    [{ endpoint: { opened: true } }, 'did you mean endpoint.open?'],
    [{ completelyElse: 1 }, 'The options are: endpointUrl,'],
    [{ scheduler: { concurrency: 0 } }, 'The option scheduler.concurrency is 0'],
    [{ scheduler: { concurrency: 1.5 } }, 'The option scheduler.concurrency is 1.5'],
    [{ scheduler: { endpoints: [] } }, 'The option scheduler.endpoints'],
    [{ scheduler: { endpoints: { reports: { concurrency: 1 } } } }, 'give one of the form http://host, https://host'],
    [
      { scheduler: { endpoints: { 'https://a.example': { concurrency: 0 } } } },
      "The option scheduler.endpoints['https://a.example'].concurrency is 0",
    ],
    [{ scheduler: { endpoints: { 'https://a.example': { concurency: 1 } } } }, 'did you mean'],
    [{ scheduler: { endpoints: { 'https://a.example': 5 } } }, 'an object of options belongs'],
    [{ scheduler: { retention: '7 moons' } }, 'The option scheduler.retention is "7 moons"'],
    [{ scheduler: { retention: '' } }, 'The option scheduler.retention is ""'],
    [{ scheduler: { runTimeout: -1 } }, 'The option scheduler.runTimeout is -1'],
    [{ scheduler: { run: 'no' } }, 'The option scheduler.run is "no"'],
    [{ scheduler: true }, 'The option scheduler (false for none): true was given'],
    [{ scheduler: null }, 'null was given'],
    [{ endpoint: 'open' }, 'The option endpoint: "open" was given'],
    [null, 'The options of DispatchModule: null was given'],
    [{ scheduler: { store: 7 } }, 'The option scheduler.store is of type number'],
    [{ scheduler: { store: ' ' } }, 'The option scheduler.store is empty'],
    [{ outside: 'never' }, "'run', 'warn', 'error'"],
    [{ replay: 'sometimes' }, "'live', 'always'"],
    [{ endpoint: { maxBodyBytes: 20_000_000 } }, 'The option endpoint.maxBodyBytes is 20000000'],
    [{ endpoint: { open: 1 } }, 'The option endpoint.open is 1'],
    [{ defaultErrorStatus: Status.OK }, 'defaultErrorStatus'],
    [{ apiKey: 5, apiUrl: 'https://h' }, 'The option apiKey is of type number'],
    [{ apiKey: '', apiUrl: 'https://h' }, 'The option apiKey is empty'],
    [{ maxLive: 0 }, 'The option maxLive is 0'],
  ])('%j is refused by name', (options, message) => {
    expect(refusal(options)).toContain(message);
  });

  it('are read as durations where they are such', () => {
    const scheduler = { retention: '7d', runTimeout: 1500, cancelGrace: '2 minutes', shutdownGrace: 0 };
    expect(settings({ scheduler }).mode).toMatchObject({
      retention: 604_800_000,
      runTimeout: 1500,
      cancelGrace: 120_000,
      shutdownGrace: 0,
    });
  });
});
