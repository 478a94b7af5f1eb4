import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import {
  currentCall,
  DispatchClient,
  DispatchFunction,
  gather,
  InvalidArgumentError,
  NotFoundError,
  PermissionDeniedError,
  sleep,
  step,
  TemporaryError,
  TimeoutError,
  UnauthenticatedError,
} from '../../lib/index.js';
import { generateKeyPair } from '../../lib/signature/index.js';
import { StandaloneWorld } from '../support/standalone-world.js';

@Injectable()
class Shop {
  readonly attempts = new Map<string, number>();
  readonly released: string[] = [];

  constructor(private readonly client: DispatchClient) {}

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
  async count(words: Map<string, number>): Promise<Map<string, number>> {
    const [[word = '', count = 0] = []] = [...words];
    return this.more(new Map([[word, count + 1]]));
  }

  @DispatchFunction()
  async more(words: Map<string, number>): Promise<Map<string, number>> {
    return new Map([...words].map(([word, count]) => [word, count + 1]));
  }

  @DispatchFunction({ retry: { initial: 1 } })
  async flaky(key: string): Promise<number> {
    const attempt = (this.attempts.get(key) ?? 0) + 1;
    this.attempts.set(key, attempt);
    if (attempt < 3) throw new TemporaryError('not yet');
    return attempt;
  }

  @DispatchFunction()
  async patient(): Promise<number[]> {
    const { attempt } = currentCall();
    if (attempt < 3) throw new TemporaryError('not yet');
    await this.double(1);
    return [attempt, currentCall().attempt];
  }

  @DispatchFunction()
  async fail(): Promise<never> {
    throw new RangeError('out of range');
  }

  @DispatchFunction()
  async hang(): Promise<string> {
    await sleep('1h');
    return 'awake';
  }

  @DispatchFunction()
  async orderTwice(): Promise<string[]> {
    const first = await this.client.dispatch(this.double, 1);
    await step(() => 0);
    await this.double(2);
    return [first, currentCall().id];
  }
}

const KEY = 'sk_0123456789abcdef';
const world = new StandaloneWorld();

afterEach(() => world.end());

describe('an application with the standalone scheduler', () => {
  it('dispatches, is called back, and has the results, those of nested calls and of several arguments', async () => {
    const scheduler = await world.scheduler({ apiKeys: [KEY] });
    const { app, client } = await world.application(Shop, { apiUrl: scheduler.url, apiKey: KEY });
    const shop = app.get(Shop);
    await expect(client.call(shop.double, 4)).resolves.toBe(8);
    await expect(client.call(shop.sum, [1, 2, 3], 10)).resolves.toBe(120);
    await expect(client.gather([client.of(shop).double(1), client.of(shop).double(2)])).resolves.toEqual([2, 4]);
  });

  it('passes values that only this package knows, between calls too', async () => {
    const scheduler = await world.scheduler();
    const { app, client } = await world.application(Shop, { apiUrl: scheduler.url });
    await expect(client.call(app.get(Shop).count, new Map([['a', 1]]))).resolves.toEqual(new Map([['a', 3]]));
  });

  it('signs what it sends: an application that has the key runs it, and one with another key does not', async () => {
    const keys = generateKeyPair();
    const scheduler = await world.scheduler({ signingKey: keys.privateKey });
    const { url: apiUrl } = scheduler;
    const friend = await world.application(Shop, { apiUrl, verificationKey: keys.publicKey });
    await expect(friend.client.call(friend.app.get(Shop).sum, [1], 1)).resolves.toBe(2);
    const stranger = await world.application(Shop, { apiUrl, verificationKey: generateKeyPair().publicKey });
    await expect(stranger.client.call(stranger.app.get(Shop).double, 1)).rejects.toThrow(PermissionDeniedError);
  });

  it('retries what fails with an error that passes, and tells an error that does not', async () => {
    const scheduler = await world.scheduler({ retry: { initial: 1 } });
    const { app, client } = await world.application(Shop, { apiUrl: scheduler.url });
    const shop = app.get(Shop);
    await expect(client.call(shop.flaky, 'a')).resolves.toBe(3);
    await expect(client.call(shop.fail)).rejects.toThrow(new RangeError('out of range'));
  });

  it('tells a function which attempt it is, under the signature', async () => {
    const keys = generateKeyPair();
    const scheduler = await world.scheduler({ signingKey: keys.privateKey, retry: { initial: 1 } });
    const options = { apiUrl: scheduler.url, verificationKey: keys.publicKey };
    const { app, client } = await world.application(Shop, options);
    await expect(client.call(app.get(Shop).patient)).resolves.toEqual([3, 1]);
  });

  it('tells where calls stand, lists them, cancels them and begins them anew', async () => {
    const scheduler = await world.scheduler();
    const { app, client, url } = await world.application(Shop, { apiUrl: scheduler.url });
    const shop = app.get(Shop);
    await client.call(shop.sum, [1, 2], 1);
    const id = await client.dispatch(shop.hang);
    await waitUntil(async () => (await client.get(id))?.state === 'suspended');
    expect(await client.get(id)).toMatchObject({
      id,
      rootId: id,
      parentId: undefined,
      endpoint: url,
      function: 'Shop.hang',
      waitsFor: 'time',
      status: undefined,
      cancelling: false,
      incarnation: 1,
    });
    const roots = await client.list({ roots: true });
    expect(roots.calls.map((call) => call.function)).toEqual(['Shop.hang', 'Shop.sum']);
    const rootId = roots.calls[1]?.id ?? '';
    expect((await client.list({ rootId, state: 'succeeded' })).calls).toHaveLength(3);
    expect((await client.list({ parentId: rootId })).calls.map((call) => call.function)).toEqual([
      'Shop.double',
      'Shop.double',
    ]);
    const page = await client.list({ limit: 1 });
    expect(page.calls).toHaveLength(1);
    expect((await client.list({ limit: 1, after: page.next })).calls[0]?.id).not.toBe(page.calls[0]?.id);

    await expect(client.cancel(id)).resolves.toBe(true);
    await expect(client.wait(id)).rejects.toThrow('cancelled');
    await expect(client.cancel(id)).resolves.toBe(false);
    await expect(client.retry(rootId)).rejects.toThrow(InvalidArgumentError);
    await client.retry(id);
    await waitUntil(async () => (await client.get(id))?.state === 'suspended');
    expect((await client.get(id))?.incarnation).toBe(2);
  });

  it('says of an unknown call that it is unknown', async () => {
    const scheduler = await world.scheduler();
    const { client } = await world.application(Shop, { apiUrl: scheduler.url });
    await expect(client.get('0'.repeat(32))).resolves.toBeUndefined();
    await expect(client.wait('0'.repeat(32))).rejects.toThrow(NotFoundError);
    await expect(client.cancel('0'.repeat(32))).rejects.toThrow(NotFoundError);
    await expect(client.retry('0'.repeat(32))).rejects.toThrow(NotFoundError);
  });

  it('takes idempotency keys, delays, priorities, keys and expirations', async () => {
    const scheduler = await world.scheduler();
    const { app, client } = await world.application(Shop, { apiUrl: scheduler.url });
    const shop = app.get(Shop);
    const keyed = client.with({ idempotencyKey: 'order 7' });
    const id = await keyed.dispatch(shop.double, 7);
    await expect(keyed.dispatch(shop.double, 7)).resolves.toBe(id);
    await expect(keyed.dispatch(shop.double, 8)).rejects.toThrow('with another input');
    const later = await client.with({ delay: '1h' }).dispatch(shop.double, 1);
    expect(await client.get(later)).toMatchObject({ state: 'pending', waitsFor: 'time' });
    const first = await client.with({ delay: '1h', priority: 5, key: 'customer 7' }).dispatch(shop.double, 1);
    expect(await client.get(first)).toMatchObject({ priority: 5, key: 'customer 7' });
    const brief = await client.with({ delay: '1h', expiration: '1ms' }).dispatch(shop.double, 1);
    await expect(client.wait(brief)).rejects.toThrow(TimeoutError);
  });

  it('dispatches once what a durable function dispatches, however often it is replayed', async () => {
    const scheduler = await world.scheduler();
    const { app, client } = await world.application(Shop, { apiUrl: scheduler.url, replay: 'always' });
    const [first] = await client.call(app.get(Shop).orderTwice);
    const roots = (await client.list({ roots: true, function: 'Shop.double' })).calls;
    expect(roots.map((call) => call.id)).toEqual([first]);
  });

  it('ends a wait that takes too long, and not the call', async () => {
    const scheduler = await world.scheduler();
    const { app, client } = await world.application(Shop, { apiUrl: scheduler.url });
    const id = await client.dispatch(app.get(Shop).hang);
    await expect(client.wait(id, { timeout: 50 })).rejects.toThrow(TimeoutError);
    const abort = new AbortController();
    const waiting = client.wait(id, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    expect((await client.get(id))?.finishedAt).toBeUndefined();
  });
});

describe('API keys', () => {
  const [ORDERS, MAILS] = ['sk_orders_0123456789', 'sk_mails_0123456789'];

  it('see nothing of the calls of each other', async () => {
    const scheduler = await world.scheduler({ apiKeys: [`orders=${ORDERS}`, `mails=${MAILS}`] });
    const { url: apiUrl } = scheduler;
    const orders = await world.application(Shop, { apiUrl, apiKey: ORDERS });
    const mails = await world.application(Shop, { apiUrl, apiKey: MAILS });
    const shop = orders.app.get(Shop);
    const id = await orders.client.with({ idempotencyKey: 'k' }).dispatch(shop.sum, [1, 2], 1);
    await expect(orders.client.wait(id)).resolves.toBe(6);
    const children = await orders.client.list({ parentId: id });
    expect(children.calls).toHaveLength(2);

    for (const call of [id, ...children.calls.map((child) => child.id)]) {
      await expect(mails.client.get(call)).resolves.toBeUndefined();
      await expect(mails.client.wait(call)).rejects.toThrow(NotFoundError);
      await expect(mails.client.cancel(call)).rejects.toThrow(NotFoundError);
      await expect(mails.client.retry(call)).rejects.toThrow(NotFoundError);
    }
    await expect(mails.client.list()).resolves.toEqual({ calls: [], next: undefined });
    await expect(mails.client.list({ rootId: id })).resolves.toEqual({ calls: [], next: undefined });
    // The same idempotency key is another one.
    const other = await mails.client.with({ idempotencyKey: 'k' }).dispatch(mails.app.get(Shop).double, 5);
    expect(other).not.toBe(id);
    await expect(mails.client.wait(other)).resolves.toBe(10);
  });

  it('of one name see the same calls, so that a key can be replaced', async () => {
    const scheduler = await world.scheduler({ apiKeys: [`orders=${ORDERS}`, `orders=${MAILS}`] });
    const before = await world.application(Shop, { apiUrl: scheduler.url, apiKey: ORDERS });
    const after = await world.application(Shop, { apiUrl: scheduler.url, apiKey: MAILS });
    const id = await before.client.dispatch(before.app.get(Shop).double, 21);
    await expect(after.client.wait(id)).resolves.toBe(42);
  });

  it('that are missing or wrong are refused, and the message names the setting', async () => {
    const scheduler = await world.scheduler({ apiKeys: [KEY] });
    const { url: apiUrl } = scheduler;
    const wrong = await world.application(Shop, { apiUrl, apiKey: `${KEY}!` });
    const without = await world.application(Shop, { apiUrl });
    for (const { client, app } of [wrong, without]) {
      await expect(client.dispatch(app.get(Shop).double, 1)).rejects.toThrow(UnauthenticatedError);
      await expect(client.get('0'.repeat(32))).rejects.toThrow(UnauthenticatedError);
      await expect(client.wait('0'.repeat(32))).rejects.toThrow(UnauthenticatedError);
    }
    await expect(wrong.client.list()).rejects.toThrow('the option apiKey');
    await expect(without.client.list()).rejects.toThrow('DISPATCH_API_KEY');
  });

  it('do not appear in the log', async () => {
    const scheduler = await world.scheduler({ apiKeys: [`orders=${ORDERS}`] });
    const { app, client } = await world.application(Shop, { apiUrl: scheduler.url, apiKey: ORDERS });
    await expect(client.call(app.get(Shop).fail)).rejects.toThrow('out of range');
    expect(world.lines.join('\n')).toContain('Shop.fail');
    expect(world.lines.join('\n')).not.toContain(ORDERS);
  });
});

async function waitUntil(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}
