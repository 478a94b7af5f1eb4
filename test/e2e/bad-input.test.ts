import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, Logger, type INestApplication, type INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  ConfigurationError,
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  InvalidArgumentError,
  InvalidResponseError,
  NotFoundError,
  PermissionDeniedError,
  Status,
  StoreCorruptError,
  UnauthenticatedError,
  type DispatchFunctionOptions,
  type DispatchModuleOptions,
} from '../../lib/index.js';
import { loadDriver } from '../../lib/scheduler/stores/sqlite/driver.choice.js';
import { generateKeyPair } from '../../lib/signature/index.js';
import { TinyDispatchService } from '../support/dispatch-service.js';
import { TypeScriptProcess } from '../support/typescript-process.js';

@Injectable()
class Work {
  @DispatchFunction()
  async echo(value: unknown): Promise<unknown> {
    return value;
  }

  @DispatchFunction()
  async pair(_first: unknown, second: unknown): Promise<unknown> {
    return second;
  }

  @DispatchFunction()
  async unrecordable(): Promise<unknown> {
    return { rows: [1, { close: () => undefined }] };
  }

  @DispatchFunction()
  async tries(): Promise<unknown> {
    const refused: unknown = await this.echo({ on: { done: () => undefined } }).catch((error: unknown) => error);
    const child = await this.echo('went on');
    return [refused instanceof InvalidArgumentError, (refused as Error).message, child];
  }

  async plain(): Promise<void> {}
}

const bad = { items: ['fine', { callback: () => undefined }] };

let folder: string;
let store: string;
const cleanups: (() => unknown)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dispatch-bad-input-'));
  store = join(folder, 'calls.db');
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
});

afterEach(async () => {
  jest.restoreAllMocks();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(options: DispatchModuleOptions = { scheduler: { store } }): Promise<INestApplication> {
  const module = await Test.createTestingModule({
    imports: [DispatchModule.forRoot(options)],
    providers: [Work],
  }).compile();
  const app = module.createNestApplication();
  await app.init();
  cleanups.push(() => app.close());
  return app;
}

/** What something is refused with. */
async function refusal(attempt: () => unknown): Promise<Error> {
  try {
    await attempt();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('it was taken');
}

describe('what cannot be recorded', () => {
  let client: DispatchClient;
  let work: Work;
  let acknowledged: string;

  beforeEach(async () => {
    const app = await start();
    client = app.get(DispatchClient);
    work = app.get(Work);
    acknowledged = await client.with({ delay: 50 }).dispatch(work.echo, 'acknowledged');
  });

  afterEach(async () => {
    await expect(client.wait(acknowledged, { timeout: '20s' })).resolves.toBe('acknowledged');
  });

  it.each<[string, string, () => unknown]>([
    ['of()', 'args[0].items[1].callback', () => client.of(work).echo(bad).dispatch()],
    ['call()', 'args[0].items[1].callback', () => client.call(work.echo, bad)],
    ['dispatch()', 'args[1].items[1].callback', () => client.dispatch(work.pair, 1, bad)],
    ['build()', 'args[0].items[1].callback', () => client.build(work.echo, bad)],
    ['gather()', 'args[0].items[1].callback', () => client.gather([client.of(work).echo(bad)])],
    ['batch()', 'args[0].items[1].callback', () => client.batch().add(work.echo, bad)],
    ['a call by name', '.items[1].callback', () => client.dispatch({ function: 'Work.echo', input: bad })],
  ])('is refused by %s with the path to it', async (_way, path, attempt) => {
    const error = await refusal(attempt);
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect(error.message).toContain(path);
    expect(error.message).toContain('a function');
  });

  it('leaves the rest of a batch as it was', async () => {
    const batch = client.batch().add(work.echo, 1);
    expect(() => batch.add(work.echo, bad)).toThrow(InvalidArgumentError);
    const ids = await batch.add(work.echo, 2).dispatch();
    await expect(Promise.all(ids.map((id) => client.wait(id)))).resolves.toEqual([1, 2]);
  });

  it('ends a call that returns it, with the path to it', async () => {
    const error = await refusal(() => client.call(work.unrecordable));
    expect(error).toBeInstanceOf(InvalidResponseError);
    expect(error.message).toContain('Work.unrecordable');
    expect(error.message).toContain('result.rows[1].close');
  });

  it('is an error that a durable function can catch', async () => {
    await expect(client.call(work.tries)).resolves.toEqual([
      true,
      expect.stringContaining('args[0].on.done'),
      'went on',
    ]);
  });

  it('is told apart from functions that are not there', async () => {
    const build = (): unknown => client.build(work.plain);
    expect(build).toThrow(InvalidArgumentError);
    expect(build).toThrow(/plain.*@DispatchFunction/);
    const named = await refusal(() => client.call({ function: 'nope' }));
    expect(named).toBeInstanceOf(NotFoundError);
    expect(named.message).toContain("'nope'");
    const misnamed = await refusal(() => client.dispatch({ function: 'no such name' }));
    expect(misnamed).toBeInstanceOf(InvalidArgumentError);
  });
});

describe('a wrong key', () => {
  it('of the scheduler names the variable that holds it', async () => {
    const service = new TinyDispatchService('the-right-key');
    const apiUrl = await service.listen();
    cleanups.push(() => service.close());
    withVariable('DISPATCH_API_KEY', 'the-wrong-key');
    const app = await start({ apiUrl, endpointUrl: 'http://127.0.0.1:1' });
    const error = await refusal(() => app.get(DispatchClient).dispatch(app.get(Work).echo, 1));
    expect(error).toBeInstanceOf(UnauthenticatedError);
    expect(error.message).toContain('DISPATCH_API_KEY');
    expect(error.message).not.toContain('the-wrong-key');
  });

  it('of an endpoint ends the calls that it refuses, and no others', async () => {
    const endpoint = await start({ scheduler: false, verificationKey: generateKeyPair().publicKey });
    await endpoint.listen(0, '127.0.0.1');
    const { port } = endpoint.getHttpServer().address() as AddressInfo;
    const app = await start({ scheduler: { store, signingKey: generateKeyPair().privateKey } });
    const client = app.get(DispatchClient);
    const ours = await client.dispatch(app.get(Work).echo, 'ours');
    const theirs = { endpoint: `http://127.0.0.1:${port}`, function: 'Work.echo', input: 1 };
    const error = await refusal(() => client.call(theirs));
    expect(error).toBeInstanceOf(PermissionDeniedError);
    await expect(client.wait(ours)).resolves.toBe('ours');
  });

  it('is missing: the endpoint says so', async () => {
    const endpoint = await start({ scheduler: false, verificationKey: generateKeyPair().publicKey });
    await endpoint.listen(0, '127.0.0.1');
    const { port } = endpoint.getHttpServer().address() as AddressInfo;
    const app = await start();
    const theirs = { endpoint: `http://127.0.0.1:${port}`, function: 'Work.echo', input: 1 };
    const error = await refusal(() => app.get(DispatchClient).call(theirs));
    expect(error).toBeInstanceOf(UnauthenticatedError);
  });
});

describe('a second process on the same file', () => {
  const second = (): TypeScriptProcess => {
    const process = new TypeScriptProcess(new URL('../crash/owner.app.ts', import.meta.url), [store]);
    cleanups.push(() => process.kill());
    return process;
  };

  it('waits, then ends with who has it and what to do; the first goes on', async () => {
    const app = await start();
    const client = app.get(DispatchClient);
    const id = await client.with({ delay: '1s' }).dispatch(app.get(Work).echo, 'unharmed');
    const other = second();
    const line = await other.until('failed');
    expect(line).toMatch(/^failed StoreLockedError /);
    for (const text of [store, `pid ${process.pid}`, 'DISPATCH_STORE', 'PostgreSQL']) expect(line).toContain(text);
    await other.rest();
    expect(await other.ended).toBe(1);
    await expect(client.wait(id)).resolves.toBe('unharmed');
    await expect(client.call(app.get(Work).echo, 'still')).resolves.toBe('still');
  }, 60_000);

  it('takes over when the first lets go', async () => {
    const app = await start();
    const id = await app
      .get(DispatchClient)
      .with({ delay: '3s' })
      .dispatch({ function: 'Work.echo', input: 'handed over' });
    const other = second();
    await other.until('starting');
    // So that it comes upon the lock; without it the test would hold as well.
    await delay(300);
    await app.close();
    await other.until('started');
    other.write(id);
    expect(await other.until('result')).toBe('result handed over');
  }, 60_000);
});

describe('a file that is no store', () => {
  /** The database; what SQLite derives from it does not count. */
  const content = (): string[] =>
    [store, `${store}-wal`].map((file) =>
      createHash('sha256')
        .update(existsSync(file) ? readFileSync(file) : '')
        .digest('hex'),
    );

  async function expectRefused(): Promise<void> {
    const before = content();
    const module = await Test.createTestingModule({
      imports: [DispatchModule.forRoot({ scheduler: { store } })],
      providers: [Work],
    }).compile();
    const error = await refusal(() => module.init());
    expect(error).toBeInstanceOf(StoreCorruptError);
    expect(error.message).toContain(store);
    expect(error.message).toContain('DISPATCH_STORE');
    expect(content()).toEqual(before);
  }

  it('because it is garbage, is left alone', async () => {
    writeFileSync(store, Buffer.from(Array.from({ length: 50_000 }, (_, n) => (n * n * 37) & 0xff)));
    await expectRefused();
  });

  it('because it was cut in the middle, is left alone', async () => {
    const app = await start({ scheduler: { store, run: false } });
    const client = app.get(DispatchClient);
    for (let n = 0; n < 50; n++) await client.dispatch(app.get(Work).echo, `${n} `.repeat(500));
    await app.close();
    truncateSync(store, Math.floor(statSync(store).size / 2));
    await expectRefused();
  });

  it('because it is another database, is left alone', async () => {
    const connection = (await loadDriver()).open(store);
    connection.exec("CREATE TABLE customers (name TEXT); INSERT INTO customers VALUES ('Ada')");
    connection.close();
    await expectRefused();
  });

  it('because it is a folder, is left alone', async () => {
    mkdirSync(store);
    const module = await Test.createTestingModule({
      imports: [DispatchModule.forRoot({ scheduler: { store } })],
    }).compile();
    expect((await refusal(() => module.init())).message).toContain(store);
  });
});

describe('a wrong setting', () => {
  const SECRET = 'hunter2secret';
  const pem = generateKeyPair();

  async function refusalOf(options: unknown): Promise<string> {
    jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    let app: INestApplicationContext | undefined;
    const error = await refusal(async () => {
      const module = await Test.createTestingModule({
        imports: [DispatchModule.forRoot(options as DispatchModuleOptions)],
        providers: [Work],
      }).compile();
      app = module;
      await module.init();
    });
    await app?.close();
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).not.toContain(SECRET);
    expect(String(error.stack)).not.toContain(SECRET);
    return error.message;
  }

  it.each<[string, unknown, string]>([
    ['a wrong scheme', { endpointUrl: 'ftp://host' }, 'endpointUrl'],
    ['no scheme', { endpointUrl: 'app.example.com' }, 'endpointUrl'],
    ['a password in an address', { endpointUrl: `https://me:${SECRET}@host` }, 'endpointUrl'],
    ['a bridge as scheduler', { apiUrl: 'bridge://x' }, 'apiUrl'],
    ['a password in the scheduler', { apiUrl: `https://me:${SECRET}@host` }, 'apiUrl'],
    ['a key without an address', { apiKey: SECRET }, 'DISPATCH_API_URL'],
    ['an empty key', { apiKey: ' ', apiUrl: 'https://h' }, 'apiKey'],
    ['a key that is none', { apiKey: [SECRET], apiUrl: 'https://h' }, 'apiKey'],
    ['no address of its own', { apiUrl: 'https://h' }, 'DISPATCH_ENDPOINT_URL'],
    ['a misspelled option', { endpointURL: 'https://h' }, 'did you mean endpointUrl?'],
    ['a misspelled scheduler option', { scheduler: { concurency: 1 } }, 'did you mean scheduler.concurrency?'],
    ['an option in the wrong place', { concurrency: 1 }, 'no option concurrency'],
    ['a negative concurrency', { scheduler: { concurrency: -1 } }, 'scheduler.concurrency'],
    ['a concurrency that is text', { scheduler: { concurrency: '5' } }, 'scheduler.concurrency'],
    ['no duration', { scheduler: { retention: 'a while' } }, 'scheduler.retention'],
    ['a negative duration', { scheduler: { runTimeout: '-5s' } }, 'scheduler.runTimeout'],
    ['an endless duration', { scheduler: { shutdownGrace: Infinity } }, 'scheduler.shutdownGrace'],
    ['a duration of another type', { scheduler: { cancelGrace: true } }, 'scheduler.cancelGrace'],
    ['a scheduler that is text', { scheduler: 'memory:' }, 'scheduler'],
    ['an unknown store', { scheduler: { store: `redis://me:${SECRET}@h` } }, 'scheduler.store'],
    ['a store that is a number', { scheduler: { store: 5 } }, 'scheduler.store'],
    ['a store object that is none', { scheduler: { store: {} } }, 'scheduler.store'],
    ['a signing key that is none', { scheduler: { signingKey: SECRET } }, 'scheduler.signingKey'],
    ['a public key to sign with', { scheduler: { signingKey: pem.publicKey } }, 'scheduler.signingKey'],
    ['a verification key that is none', { verificationKey: SECRET }, 'verificationKey'],
    ['a cut verification key', { verificationKey: pem.publicKey.slice(0, 60) }, 'verificationKey'],
    ['a body limit beyond the protocol', { endpoint: { maxBodyBytes: 1e9 } }, 'endpoint.maxBodyBytes'],
    ['an unknown replay', { replay: 'never' }, 'replay'],
    ['an unknown outside', { outside: 'throw' }, 'outside'],
    ['a status that is no error', { defaultErrorStatus: Status.OK }, 'defaultErrorStatus'],
    ['options that are none', 'memory:', 'options of DispatchModule'],
  ])('(%s) is refused by name', async (_what, options, text) => {
    expect(await refusalOf(options)).toContain(text);
  });

  it.each([
    ['DISPATCH_ENDPOINT_URL', 'ftp://host'],
    ['DISPATCH_API_URL', `https://me:${SECRET}@host`],
    ['DISPATCH_API_URL', 'api.example.com'],
    ['DISPATCH_API_KEY', SECRET],
    ['DISPATCH_VERIFICATION_KEY', SECRET],
    ['DISPATCH_VERIFICATION_KEY', `-----BEGIN PUBLIC KEY-----\\n${SECRET}\\n-----END PUBLIC KEY-----`],
    ['DISPATCH_VERIFICATION_KEY', pem.privateKey.trim()],
    ['DISPATCH_STORE', `mysql://me:${SECRET}@host/db`],
  ])('of the environment (%s = %s) is refused by the name of the variable', async (name, value) => {
    withVariable(name, value);
    const message = await refusalOf({});
    expect(message).toContain(name);
    if (name.endsWith('KEY')) expect(message).not.toContain(value);
  });

  it.each<[DispatchFunctionOptions | Record<string, unknown>, string]>([
    [{ nam: 'x' }, 'did you mean name?'],
    [{ name: 'no name' }, '"no name"'],
    [{ concurrency: 0 }, 'concurrency'],
    [{ expiration: 'soon' }, 'expiration'],
    [{ runTimeout: -1 }, 'runTimeout'],
    [{ retry: { maxAttempts: 0 } }, 'maxAttempts'],
    [{ retry: { attempts: 3 } }, 'attempts'],
    [{ version: 2 }, 'version'],
    [{ onIncompatible: 'ignore' }, 'onIncompatible'],
  ])('of a function (%j) is refused with the place of the function', async (options, text) => {
    @Injectable()
    class Wrong {
      @DispatchFunction(options)
      async run(): Promise<void> {}
    }
    const error = await refusal(async () => {
      const module = await Test.createTestingModule({
        imports: [DispatchModule.forRoot()],
        providers: [Wrong],
      }).compile();
      await module.init();
    });
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).toContain('Wrong');
    expect(error.message).toContain('run');
    expect(error.message).toContain(text);
  });
});

function withVariable(name: string, value: string): void {
  const former = process.env[name];
  process.env[name] = value;
  cleanups.push(() => {
    if (former === undefined) delete process.env[name];
    else process.env[name] = former;
  });
}
