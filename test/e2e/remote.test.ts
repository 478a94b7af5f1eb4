import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  ConfigurationError,
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  gather,
  InvalidArgumentError,
  InvalidResponseError,
  NotFoundError,
  TCPError,
  TemporaryError,
  TimeoutError,
  UnauthenticatedError,
  type DispatchModuleOptions,
} from '../../lib/index.js';
import { TinyDispatchService } from '../support/dispatch-service.js';

@Injectable()
class Maths {
  @DispatchFunction()
  async double(value: number): Promise<number> {
    return value * 2;
  }

  @DispatchFunction()
  async sum(values: number[], factor: number): Promise<number> {
    const doubled = await gather(values.map((value) => this.double(value)));
    return factor * doubled.reduce((a, b) => a + b, 0);
  }

  @DispatchFunction()
  async fail(): Promise<never> {
    throw new RangeError('out of range');
  }
}

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(apiKey?: string): Promise<{ service: TinyDispatchService; apiUrl: string }> {
  const service = new TinyDispatchService(apiKey);
  const apiUrl = await service.listen();
  cleanups.push(() => service.close());
  return { service, apiUrl };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function start(
  options: DispatchModuleOptions,
): Promise<{ app: INestApplication; client: DispatchClient; maths: Maths }> {
  const port = await freePort();
  const module = await Test.createTestingModule({
    imports: [DispatchModule.forRoot({ endpointUrl: `http://127.0.0.1:${port}`, ...options })],
    providers: [Maths],
  }).compile();
  const app = module.createNestApplication();
  await app.listen(port, '127.0.0.1');
  cleanups.push(() => app.close());
  return { app, client: app.get(DispatchClient), maths: app.get(Maths) };
}

describe('an application with a remote scheduler', () => {
  it('dispatches to it, is called back, and sees the results that pass through it', async () => {
    const { service, apiUrl } = await serve('the-key');
    const { client, maths } = await start({ apiUrl, apiKey: 'the-key' });
    await expect(client.call(maths.sum, [1, 2, 3], 10)).resolves.toBe(120);
    const [request] = service.requests;
    expect(request?.headers).toMatchObject({
      authorization: 'Bearer the-key',
      'content-type': 'application/proto',
      'connect-protocol-version': '1',
      'connect-timeout-ms': '5000',
    });
    expect(request?.calls[0]?.endpoint).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  });

  it('dispatches several calls in one request', async () => {
    const { service, apiUrl } = await serve();
    const { client, maths } = await start({ apiUrl });
    await expect(client.gather([client.of(maths).double(1), client.of(maths).double(2)])).resolves.toEqual([2, 4]);
    expect(service.requests).toHaveLength(1);
    expect(service.requests[0]?.headers.authorization).toBeUndefined();
  });

  it('tells the error of a function', async () => {
    const { apiUrl } = await serve();
    const { client, maths } = await start({ apiUrl });
    const error = await client.call(maths.fail).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RangeError);
    expect(error).toMatchObject({ message: 'out of range' });
  });

  it('reads a result that was there before anyone asked', async () => {
    const { apiUrl } = await serve();
    const { client, maths } = await start({ apiUrl });
    const id = await client.dispatch(maths.double, 4);
    await expect(client.wait(id)).resolves.toBe(8);
    await expect(client.wait(id)).resolves.toBe(8);
  });

  it('says why a result does not come', async () => {
    const { apiUrl } = await serve();
    const { client } = await start({ apiUrl });
    const id = await client.dispatch({ endpoint: 'bridge://elsewhere', function: 'f', input: 1 });
    const error = await client.wait(id, { timeout: 1 }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TimeoutError);
    expect((error as Error).message).toContain('a process sees only the results');
    await expect(client.wait(id, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  });

  it('names the setting when its key is refused', async () => {
    const { apiUrl } = await serve('right');
    const wrong = await start({ apiUrl, apiKey: 'wrong' });
    const error = await wrong.client.dispatch(wrong.maths.double, 1).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UnauthenticatedError);
    expect((error as Error).message).toContain('the option apiKey');
    expect((error as Error).message).not.toContain('"wrong"');
    const without = await start({ apiUrl });
    await expect(without.client.dispatch(without.maths.double, 1)).rejects.toThrow('DISPATCH_API_KEY');
  });

  it('names the setting when the scheduler cannot be reached', async () => {
    const { client, maths } = await start({ apiUrl: `http://127.0.0.1:${await freePort()}` });
    const error = await client.dispatch(maths.double, 1).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TCPError);
    expect((error as Error).message).toContain('the option apiUrl');
  });

  it.each([
    [
      { status: 400, body: '{"code":"invalid_argument","message":"no such thing"}' },
      InvalidArgumentError,
      'no such thing',
    ],
    [{ status: 404 }, NotFoundError, 'the option apiUrl'],
    [{ status: 503 }, TemporaryError, '503'],
    [{ status: 200, body: 'hello' }, InvalidResponseError, 'the option apiUrl'],
    [{ status: 200 }, InvalidResponseError, '0 ids'],
  ])('says what is wrong when the scheduler answers %j', async (failure, type, text) => {
    const { service, apiUrl } = await serve();
    const { client, maths } = await start({ apiUrl });
    service.failures.push(failure);
    const error = await client.dispatch(maths.double, 1).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message).toContain(text);
  });

  it.each(['get', 'list', 'cancel', 'retry'] as const)(
    'refuses %s, which the protocol does not have',
    async (method) => {
      const { apiUrl } = await serve();
      const { client } = await start({ apiUrl });
      await expect((client[method] as (id: string) => Promise<unknown>).call(client, 'x')).rejects.toThrow(
        `${method}()`,
      );
    },
  );

  it.each([{ idempotencyKey: 'k' }, { priority: 1 }, { key: 'k' }, { delay: '1s' }, { at: 5 }])(
    'refuses the options %j',
    async (options) => {
      const { apiUrl } = await serve();
      const { client, maths } = await start({ apiUrl });
      await expect(client.with(options).dispatch(maths.double, 1)).rejects.toThrow('remote schedulers');
    },
  );

  it('sends the expiration', async () => {
    const { service, apiUrl } = await serve();
    const { client, maths } = await start({ apiUrl });
    await client.with({ expiration: '90s' }).dispatch(maths.double, 1);
    expect(service.requests[0]?.calls[0]?.expiration?.seconds).toBe(90n);
  });

  it('does not start with functions and no address of its own', async () => {
    const module = await Test.createTestingModule({
      imports: [DispatchModule.forRoot({ apiUrl: 'http://127.0.0.1:1' })],
      providers: [Maths],
    }).compile();
    await expect(module.init()).rejects.toThrow(ConfigurationError);
  });
});
