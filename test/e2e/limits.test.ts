import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  currentCall,
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  failureOf,
  gather,
  PermanentError,
  sleep,
  Status,
  step,
  TemporaryError,
  type DispatchModuleOptions,
} from '../../lib/index.js';
import { MemoryStore } from '../../lib/scheduler/index.js';
import { TestTime } from '../../lib/testing/index.js';

@Injectable()
class Work {
  readonly log: string[] = [];
  failures = 0;
  signal: AbortSignal | undefined;

  @DispatchFunction()
  async sync(customer: string, order: number): Promise<void> {
    this.log.push(`${customer} ${order} begins`);
    await sleep('1h');
    this.log.push(`${customer} ${order} ends`);
  }

  @DispatchFunction({ concurrency: { runs: 10, perKey: 2 } })
  async crawl(page: number): Promise<void> {
    this.log.push(`begins ${page}`);
    await sleep('1m');
    this.log.push(`ends ${page}`);
  }

  @DispatchFunction()
  async note(what: string): Promise<void> {
    this.log.push(what);
  }

  @DispatchFunction()
  async flood(calls: number): Promise<number> {
    const notes = await gather(Array.from({ length: calls }, (_, n) => this.note(`${n}`)));
    return notes.length;
  }

  @DispatchFunction({ retry: { maxAttempts: 3, initial: '1s', retryOn: [Status.PERMANENT_ERROR, Status.NOT_FOUND] } })
  async stubborn(): Promise<number> {
    this.failures++;
    throw new Error('it is not there');
  }

  @DispatchFunction({ retry: { retryOn: [] } })
  async once(): Promise<number> {
    this.failures++;
    throw new TemporaryError('no luck');
  }

  @DispatchFunction({ retry: { retryOn: [Status.PERMANENT_ERROR] } })
  async passesOn(): Promise<number> {
    this.log.push('passes on');
    return this.fails();
  }

  @DispatchFunction()
  async fails(): Promise<number> {
    throw new PermanentError('for good');
  }

  @DispatchFunction({ retry: { maxAttempts: 4, initial: 1, retryOn: [Status.PERMANENT_ERROR] } })
  async steps(): Promise<number> {
    return step(() => {
      this.failures++;
      if (this.failures < 3) throw new Error('not yet');
      throw new TemporaryError('not in the list');
    });
  }

  @DispatchFunction({ expiration: '1m' })
  async limited(): Promise<Date | undefined> {
    return this.unlimited();
  }

  @DispatchFunction()
  async unlimited(): Promise<Date | undefined> {
    const { signal, expirationTime } = currentCall();
    this.signal = signal;
    this.log.push(`until ${expirationTime?.toISOString()}`);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return undefined;
  }
}

let app: TestingModule | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

async function start(options: DispatchModuleOptions = {}) {
  const time = new TestTime({ start: '2030-01-01' });
  const builder = Test.createTestingModule({ imports: [DispatchModule.forRoot(options)], providers: [Work] });
  app = await time.control(builder).compile();
  await app.init();
  return { time, client: app.get(DispatchClient), work: app.get(Work) };
}

describe('calls with a key', () => {
  it('of one function go on one at a time, from their start to their end', async () => {
    const { time, client, work } = await start();
    const ada = client.with({ key: 'Ada' });
    await ada.dispatch(work.sync, 'Ada', 1);
    await ada.dispatch(work.sync, 'Ada', 2);
    await client.with({ key: 'Bob' }).dispatch(work.sync, 'Bob', 1);
    await time.advance('3h');
    const logOf = (customer: string) => work.log.filter((line) => line.startsWith(customer));
    expect(logOf('Ada')).toEqual(['Ada 1 begins', 'Ada 1 ends', 'Ada 2 begins', 'Ada 2 ends']);
    expect(work.log.slice(0, 2)).toEqual(['Ada 1 begins', 'Bob 1 begins']);
  });

  it('are so many at a time as the function says', async () => {
    const { time, client, work } = await start();
    const batch = client.with({ key: 'example.com' }).batch();
    for (const page of [1, 2, 3]) batch.add(work.crawl, page);
    await batch.dispatch();
    await time.drain();
    expect(work.log).toEqual(['begins 1', 'begins 2']);
    await time.advance('1m');
    expect(work.log).toEqual(['begins 1', 'begins 2', 'ends 1', 'ends 2', 'begins 3']);
  });
});

describe('priorities', () => {
  it('of calls decide which of them start first', async () => {
    const { time, client, work } = await start({ scheduler: { concurrency: 1 } });
    await client.with({ delay: '1m' }).dispatch(work.note, 'report');
    await client.with({ delay: '1m', priority: 10 }).dispatch(work.note, 'payment');
    await time.advance('1m');
    expect(work.log).toEqual(['payment', 'report']);
  });
});

describe('a function that makes very many calls at once', () => {
  it('has them recorded in many commits, between which others have their turn', async () => {
    const store = new MemoryStore();
    const created: number[] = [];
    const { commit } = store;
    store.commit = (mutations) => {
      created.push(mutations.filter(({ type }) => type === 'create').length);
      return commit.call(store, mutations);
    };
    app = await Test.createTestingModule({
      imports: [DispatchModule.forRoot({ scheduler: { store } })],
      providers: [Work],
    }).compile();
    await app.init();
    const work = app.get(Work);
    expect(await app.get(DispatchClient).call(work.flood, 5_000)).toBe(5_000);
    expect(created.reduce((sum, count) => sum + count)).toBe(1 + 5_000);
    expect(Math.max(...created)).toBeLessThanOrEqual(500);
  });
});

describe('retryOn', () => {
  it('makes runs again that fail with these statuses', async () => {
    const { time, client, work } = await start();
    const id = await client.dispatch(work.stubborn);
    await time.advance('1m');
    expect(work.failures).toBe(3);
    await expect(client.wait(id)).rejects.toThrow('it is not there');
  });

  it('makes no others again', async () => {
    const { time, client, work } = await start();
    const id = await client.dispatch(work.once);
    await time.advance('1m');
    expect(work.failures).toBe(1);
    await expect(client.wait(id)).rejects.toThrow(TemporaryError);
  });

  it.each(['live', 'always'] as const)(
    'does not repeat an error that came from another durable function (replay: %s)',
    async (replay) => {
      const { time, client, work } = await start({ replay });
      const id = await client.dispatch(work.passesOn);
      await time.advance('1h');
      const error: unknown = await client.wait(id).catch((reason: unknown) => reason);
      expect(failureOf(error)).toMatchObject({ attempt: 1 });
      expect((await client.get(id))?.attempt).toBe(0);
    },
  );

  it('holds for steps', async () => {
    const { time, client, work } = await start();
    const id = await client.dispatch(work.steps);
    await time.advance('1m');
    await expect(client.wait(id)).rejects.toThrow('not in the list');
    expect(work.failures).toBe(3);
  });
});

describe('an expiration', () => {
  it('reaches what the call calls, and the code that runs', async () => {
    const { time, client, work } = await start();
    const id = await client.dispatch(work.limited);
    await time.drain();
    expect(work.log).toEqual(['until 2030-01-01T00:01:00.000Z']);
    await time.advance('1m');
    expect(work.signal?.aborted).toBe(true);
    await expect(client.wait(id)).rejects.toThrow('expired');
    await time.advance('2m');
    expect((await client.list({ state: ['pending', 'suspended'] })).calls).toEqual([]);
  });
});
