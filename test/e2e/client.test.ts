import { afterEach, describe, expect, it } from '@jest/globals';
import { Inject, Injectable, forwardRef, type INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  failureOf,
  gather,
  InvalidArgumentError,
  NotFoundError,
  race,
  sleep,
  TimeoutError,
  type DispatchModuleOptions,
  type DispatchOptions,
  type EmbeddedSchedulerOptions,
} from '../../lib/index.js';

class QuotaExceeded extends Error {}

@Injectable()
class Work {
  readonly log: string[] = [];
  gate: Promise<unknown> = Promise.resolve();

  @DispatchFunction()
  async echo<T>(value: T): Promise<T> {
    this.log.push(`echo ${JSON.stringify(value)}`);
    return value;
  }

  @DispatchFunction()
  async add(a: number, b: number): Promise<number> {
    return a + b;
  }

  @DispatchFunction()
  async fail(message: string): Promise<never> {
    throw new QuotaExceeded(message);
  }

  @DispatchFunction()
  async gated(value: string): Promise<string> {
    await this.gate;
    return value;
  }

  async plain(): Promise<void> {}
}

@Injectable()
class Parent {
  constructor(
    private readonly client: DispatchClient,
    @Inject(forwardRef(() => Work)) private readonly work: Work,
  ) {}

  @DispatchFunction()
  async calls(): Promise<unknown> {
    const work = this.client.of(this.work);
    return [
      await this.client.call(this.work.add, 1, 2),
      await work.add(3, 4).result(),
      await this.client.gather([work.add(1, 1), work.echo('x')]),
      await gather([work.add(5, 5), this.work.add(6, 6)]),
      await race([work.add(7, 7).result(), sleep('1h')]),
    ];
  }

  @DispatchFunction()
  async dispatches(): Promise<string[]> {
    const first = await this.client.dispatch(this.work.echo, 'first');
    await sleep(1);
    const batch = this.client.batch().add(this.work.echo, 'second').add(this.client.of(this.work).echo('third'));
    return [first, ...(await batch.dispatch())];
  }

  @DispatchFunction()
  async waits(id: string): Promise<unknown> {
    return this.client.wait(id);
  }

  @DispatchFunction()
  async callsWith(options: DispatchOptions): Promise<unknown> {
    return this.client.with(options).call(this.work.add, 1, 2);
  }
}

let app: INestApplicationContext | undefined;

afterEach(async () => {
  await app?.close();
  app = undefined;
});

async function start(options: DispatchModuleOptions = {}) {
  app = await Test.createTestingModule({
    imports: [DispatchModule.forRoot(options)],
    providers: [Work, Parent],
  }).compile();
  await app.init();
  return { client: app.get(DispatchClient), work: app.get(Work), parent: app.get(Parent) };
}

/** A scheduler that only takes calls, so that tests see them as they were dispatched. */
const idle: EmbeddedSchedulerOptions = { run: false };

describe('the client', () => {
  it('calls by method, by of(), by build(), by name', async () => {
    const { client, work } = await start();
    await expect(client.call(work.add, 1, 2)).resolves.toBe(3);
    await expect(client.of(work).add(2, 3).result()).resolves.toBe(5);
    await expect(client.call(client.build(work.add, 3, 4))).resolves.toBe(7);
    await expect(client.call<string>({ function: 'Work.echo', input: 'x' })).resolves.toBe('x');
  });

  it('keeps values as they are', async () => {
    const { client, work } = await start();
    const value = { list: [1, 'two', null], at: new Date(5), set: new Set([1n]) };
    await expect(client.call(work.echo, value)).resolves.toEqual(value);
    await expect(client.call(work.echo, undefined)).resolves.toBeUndefined();
  });

  it('gathers in the order of the calls', async () => {
    const { client, work } = await start();
    await expect(client.gather([client.build(work.add, 1, 1), client.build(work.echo, 'b')])).resolves.toEqual([
      2,
      'b',
    ]);
    await expect(client.gather([])).resolves.toEqual([]);
  });

  it('tells the error of a function: its class where it is known, and who failed', async () => {
    const { client, work } = await start();
    const error = await client.call(work.fail, 'no more').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'QuotaExceeded', message: 'no more' });
    expect(failureOf(error)?.function).toBe('Work.fail');
  });

  it('dispatches a batch, empties it, and keeps it when that fails', async () => {
    const { client, work } = await start();
    const batch = client
      .batch()
      .add(work.add, 1, 2)
      .add(client.build(work.echo, 'x'))
      .add({ function: 'Work.echo', input: 'y' });
    expect(batch.size).toBe(3);
    const ids = await batch.dispatch();
    expect(batch.size).toBe(0);
    await expect(Promise.all(ids.map((id) => client.wait(id)))).resolves.toEqual([3, 'x', 'y']);
    batch.add({ function: 'not a name' });
    await expect(batch.dispatch()).rejects.toThrow(InvalidArgumentError);
    expect(batch.size).toBe(1);
    batch.clear();
    await expect(batch.dispatch()).resolves.toEqual([]);
  });

  it('waits no longer than it was told', async () => {
    const { client, work } = await start({ scheduler: idle });
    const id = await client.dispatch(work.add, 1, 2);
    await expect(client.wait(id, { timeout: 1 })).rejects.toThrow(TimeoutError);
    await expect(client.wait(id, { timeout: 'soon' })).rejects.toThrow('timeout is "soon"');
    await expect(client.wait('0'.repeat(32))).rejects.toThrow(NotFoundError);
  });

  it('tells where a call stands, lists and cancels', async () => {
    const { client, work } = await start({ scheduler: idle });
    const id = await client.dispatch(work.add, 1, 2);
    await expect(client.get(id)).resolves.toMatchObject({ id, function: 'Work.add', state: 'pending' });
    await expect(client.get('0'.repeat(32))).resolves.toBeUndefined();
    const { calls } = await client.list({ function: 'Work.add' });
    expect(calls.map((call) => call.id)).toEqual([id]);
    await expect(client.cancel(id)).resolves.toBe(true);
    await expect(client.cancel(id)).resolves.toBe(false);
    await expect(client.wait(id)).rejects.toMatchObject({ name: 'CancelledError' });
  });

  it('retries a call that has failed', async () => {
    const { client, work } = await start();
    const id = await client.dispatch(work.fail, 'once');
    await expect(client.wait(id)).rejects.toThrow('once');
    await client.retry(id);
    await expect(client.wait(id)).rejects.toThrow('once');
    await expect(client.get(id)).resolves.toMatchObject({ incarnation: 2 });
  });

  it('dispatches with a delay, at a time, and with an expiration', async () => {
    const { client, work } = await start({ scheduler: idle });
    const before = Date.now();
    const later = await client.get(await client.with({ delay: '1h' }).dispatch(work.add, 1, 2));
    expect(later?.dueAt).toBeGreaterThanOrEqual(before + 3_600_000);
    const at = new Date(before + 86_400_000);
    await expect(client.get(await client.with({ at }).dispatch(work.add, 1, 2))).resolves.toMatchObject({
      dueAt: at.getTime(),
    });
    const expiring = await client.get(await client.of(work).add(1, 2).dispatch());
    expect(expiring?.expiresAt).toBeUndefined();
    const limited = await client.get(await client.with({ expiration: '1m' }).dispatch(work.add, 1, 2));
    expect((limited?.expiresAt ?? 0) - (limited?.createdAt ?? 0)).toBe(60_000);
  });

  it('dispatches with a priority and a key, which are kept and shown', async () => {
    const { client, work } = await start({ scheduler: idle });
    const urgent = client.with({ priority: 7 }).with({ key: 'customer 1' });
    const [id = '', other = ''] = await urgent.batch().add(work.add, 1, 2).add(work.echo, 1).dispatch();
    await expect(client.get(id)).resolves.toMatchObject({ priority: 7, key: 'customer 1' });
    await expect(client.get(other)).resolves.toMatchObject({ priority: 7, key: 'customer 1' });
    await expect(client.get(await client.dispatch(work.add, 1, 2))).resolves.toMatchObject({
      priority: 0,
      key: undefined,
    });
  });

  it('makes one call of an idempotency key', async () => {
    const { client, work } = await start();
    const once = client.with({ idempotencyKey: 'order 1' });
    const [first, second] = await Promise.all([once.dispatch(work.echo, 1), once.dispatch(work.echo, 1)]);
    expect(first).toBe(second);
    await client.wait(first);
    expect(await once.dispatch(work.echo, 1)).toBe(first);
    await expect(once.call(work.echo, 1)).resolves.toBe(1);
    expect(work.log).toEqual(['echo 1']);
  });

  it('refuses another call under the same idempotency key, and names the key', async () => {
    const { client, work } = await start();
    const once = client.with({ idempotencyKey: 'order 1' });
    await once.dispatch(work.echo, 1);
    await expect(once.dispatch(work.echo, 2)).rejects.toThrow(/"order 1".*another input/);
    await expect(once.dispatch(work.add, 1, 2)).rejects.toThrow(/"order 1".*Work\.echo/);
    await expect(once.dispatch(work.add, 1, 2)).rejects.toThrow(InvalidArgumentError);
  });

  it.each([
    [{ delay: 1, at: 5 }, 'give one of them'],
    [{ delay: 'soon' }, 'delay'],
    [{ at: new Date(NaN) }, 'at'],
    [{ idempotencyKey: '' }, 'idempotencyKey'],
    [{ key: '' }, 'key'],
    [{ key: 'x'.repeat(1025) }, 'with({ key }) got 1025 characters: give at most 1024'],
    [{ priority: 1.5 }, 'with({ priority }) got 1.5: give a whole number from -100 to 100'],
    [{ priority: 101 }, 'priority'],
    [{ expires: '1h' }, 'there is no such option'],
    [{ idempotencykey: 'x' }, 'did you mean idempotencyKey?'],
  ])('refuses the options %j', async (options, message) => {
    const { client } = await start({ scheduler: idle });
    const refused = () => client.with(options as DispatchOptions);
    expect(refused).toThrow(message);
    expect(refused).toThrow(InvalidArgumentError);
  });

  it('refuses what is no durable function', async () => {
    const { client, work } = await start({ scheduler: idle });
    await expect(client.dispatch(work.plain)).rejects.toThrow('plain is not registered');
    expect(() => client.of(work).plain()).toThrow('Work.plain is not registered');
    expect(() => client.of(new Work()).add(1, 2)).toThrow('hand over the instance that Nest injects');
    await expect(client.dispatch({ endpoint: 'ftp://x', function: 'f' })).rejects.toThrow('"ftp://x"');
    await expect(client.dispatch({ function: '' })).rejects.toThrow('name of its function');
    await expect(client.dispatch(5 as never)).rejects.toThrow('5 is no call');
    await expect(client.dispatch(work.echo, () => 1)).rejects.toThrow('args[0]');
  });

  it('refuses a method that several providers have, and names the of() form', async () => {
    class Base {
      @DispatchFunction()
      async run(): Promise<string> {
        return this.constructor.name;
      }
    }
    @Injectable()
    class One extends Base {}
    @Injectable()
    class Two extends Base {}
    app = await Test.createTestingModule({ imports: [DispatchModule.forRoot()], providers: [One, Two] }).compile();
    await app.init();
    const client = app.get(DispatchClient);
    await expect(client.dispatch(app.get(One).run)).rejects.toThrow(/One\.run and Two\.run.*of\(provider\)\.run/);
    await expect(client.of(app.get(Two)).run().result()).resolves.toBe('Two');
  });

  it('can be awaited by mistake: a proxy is no promise', async () => {
    const { client, work } = await start({ scheduler: idle });
    await expect(Promise.resolve(client.of(work))).resolves.toBeDefined();
  });

  it('takes calls only while the application is up', async () => {
    app = await Test.createTestingModule({ imports: [DispatchModule.forRoot()], providers: [Work] }).compile();
    const client = app.get(DispatchClient);
    await expect(client.dispatch({ function: 'Work.echo' })).rejects.toThrow('has not started yet');
    await app.init();
    await client.dispatch({ function: 'Work.echo' });
    await app.close();
    app = undefined;
    await expect(client.dispatch({ function: 'Work.echo' })).rejects.toThrow('shutting down');
  });
});

describe.each(['live', 'always'] as const)('the client in a durable function (replay: %s)', (replay) => {
  it('makes durable calls', async () => {
    const { client, parent } = await start({ replay });
    const id = await client.dispatch(parent.calls);
    await expect(client.wait(id)).resolves.toEqual([3, 7, [2, 'x'], [10, 12], 14]);
    const { calls } = await client.list({ parentId: id });
    expect(calls).toHaveLength(7);
  });

  it('dispatches once, however often the function is replayed', async () => {
    const { client, parent, work } = await start({ replay });
    const ids = await client.call(parent.dispatches);
    await Promise.all(ids.map((id) => client.wait(id)));
    expect(work.log.sort()).toEqual(['echo "first"', 'echo "second"', 'echo "third"']);
    const { calls } = await client.list({ roots: true, function: 'Work.echo' });
    expect(calls.map((call) => call.id).sort()).toEqual([...ids].sort());
  });

  it('waits for another call durably: for its result, for its error', async () => {
    const { client, parent, work } = await start({ replay });
    let open = (): void => undefined;
    work.gate = new Promise<void>((resolve) => (open = resolve));
    const gated = await client.dispatch(work.gated, 'through');
    const waiting = await client.dispatch(parent.waits, gated);
    open();
    await expect(client.wait(waiting)).resolves.toBe('through');
    const failed = await client.dispatch(work.fail, 'bad');
    await expect(client.call(parent.waits, failed)).rejects.toThrow('bad');
    await expect(client.call(parent.waits, '0'.repeat(32))).rejects.toThrow(/no call/);
  });

  it('refuses options that an awaited call cannot have', async () => {
    const { client, parent } = await start({ replay });
    await expect(client.call(parent.callsWith, { delay: 5 })).rejects.toThrow(/option delay.*sleep\(\)/);
    await expect(client.call(parent.callsWith, { priority: 5 })).rejects.toThrow(/option priority.*dispatch\(\) it/);
    await expect(client.call(parent.callsWith, { key: 'k' })).rejects.toThrow(/option key.*dispatch\(\) it/);
  });
});
