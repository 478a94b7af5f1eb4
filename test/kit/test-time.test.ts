import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger, type INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  DispatchClient,
  DispatchModule,
  InvalidArgumentError,
  Status,
  type DispatchModuleOptions,
} from '../../lib/index.js';
import { TestTime } from '../../lib/testing/index.js';
import { Maths } from './functions.js';

const DAY = 24 * 3_600_000;

describe('time in a test', () => {
  const apps: INestApplicationContext[] = [];
  let time: TestTime;

  beforeEach(() => {
    time = new TestTime({ start: '2030-01-01T00:00:00Z' });
    jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  });

  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
    jest.restoreAllMocks();
    delete process.env.DISPATCH_API_URL;
    delete process.env.DISPATCH_API_KEY;
  });

  async function start(options: DispatchModuleOptions = {}) {
    const builder = Test.createTestingModule({ imports: [DispatchModule.forRoot(options)], providers: [Maths] });
    const app = await time.control(builder).compile();
    apps.push(app);
    await app.init();
    return { app, client: app.get(DispatchClient), maths: app.get(Maths) };
  }

  it('stands still, and moves when it is told to', async () => {
    expect(time.now).toBe(Date.UTC(2030, 0, 1));
    await time.advance('36h');
    expect(time.now).toBe(Date.UTC(2030, 0, 2, 12));
    await time.advance(0);
    expect(time.now).toBe(Date.UTC(2030, 0, 2, 12));
  });

  it('begins in the present unless it is told otherwise', () => {
    jest.spyOn(Date, 'now').mockReturnValue(1_234);
    expect(new TestTime().now).toBe(1_234);
    expect(new TestTime({ start: 5 }).now).toBe(5);
    expect(new TestTime({ start: new Date(6) }).now).toBe(6);
  });

  it.each(['soon', -1, Number.NaN])('refuses to advance by %p', async (duration) => {
    await expect(time.advance(duration)).rejects.toThrow(InvalidArgumentError);
    await expect(time.advance(duration)).rejects.toThrow('advance() is');
  });

  it('refuses a start that is no date', () => {
    expect(() => new TestTime({ start: 'yesterday' })).toThrow(
      new InvalidArgumentError('The option start is no date: yesterday.'),
    );
  });

  it('ends a sleep of three days when they have passed, and not before', async () => {
    const { client, maths } = await start();
    const id = await client.dispatch(maths.later, '3d');
    await time.drain();
    expect(await client.get(id)).toMatchObject({ state: 'suspended', waitsFor: 'time' });
    await time.advance(3 * DAY - 1);
    expect(await client.get(id)).toMatchObject({ state: 'suspended' });
    await time.advance(1);
    expect(await client.get(id)).toMatchObject({ state: 'succeeded' });
    expect(await client.wait(id)).toBe('done');
  });

  it('drains all that needs no time', async () => {
    const { client, maths } = await start();
    const id = await client.dispatch(maths.sum, [1, 2, 3]);
    await time.drain();
    expect(await client.get(id)).toMatchObject({ state: 'succeeded' });
    expect(maths.calls).toBe(3);
  });

  it('rings what is due on the way at its own time', async () => {
    const { client, maths } = await start();
    const ends: string[] = [];
    for (const delay of ['2d', '1d', '90m']) {
      const id = await client.dispatch(maths.later, delay);
      void client.wait(id).then(() => ends.push(`${delay} at ${(time.now - Date.UTC(2030, 0, 1)) / 60_000}`));
    }
    await time.advance('7d');
    expect(ends).toEqual(['90m at 90', '1d at 1440', '2d at 2880']);
  });

  it('makes failed runs and failed steps again', async () => {
    const { client, maths } = await start();
    maths.failures = [Status.TEMPORARY_ERROR, Status.THROTTLED];
    const run = await client.dispatch(maths.flaky, 7);
    await time.drain();
    expect(maths.calls).toBe(1);
    expect(await client.get(run)).toMatchObject({ state: 'pending' });
    await time.advance('1m');
    expect(await client.wait(run)).toBe(7);

    maths.calls = 0;
    const steps = await client.dispatch(maths.afterRetries);
    await time.drain();
    expect(maths.calls).toBe(1);
    await time.advance('1m');
    expect(await client.wait(steps)).toBe(4);
  });

  it('goes on without a run that hangs, so that its deadline passes', async () => {
    time = new TestTime({ patience: 20 });
    const { client, maths } = await start();
    const id = await client.dispatch(maths.hang);
    await time.drain();
    expect(await client.get(id)).toMatchObject({ state: 'running' });
    await time.advance('2m');
    expect(await client.wait(id)).toBe('at the second attempt');
  });

  it('counts delays, deadlines of waits and expirations', async () => {
    const { client, maths } = await start();
    const delayed = await client.with({ delay: '2h' }).dispatch(maths.double, 4);
    const wait = client.wait(delayed, { timeout: '1h' });
    const refused = expect(wait).rejects.toThrow('has not finished within');
    await time.advance('1h');
    await refused;
    await time.advance('1h');
    expect(await client.wait(delayed)).toBe(8);

    const expired = await client.with({ expiration: '1h' }).dispatch(maths.later, '2h');
    await time.advance('1h');
    expect(await client.get(expired)).toMatchObject({ state: 'failed', status: Status.TIMEOUT });
  });

  it('keeps results for good, unless the application says for how long', async () => {
    const first = await start();
    const kept = await first.client.dispatch(first.maths.double, 1);
    await time.advance('365d');
    expect(await first.client.wait(kept)).toBe(2);
    await first.app.close();

    time = new TestTime();
    const second = await start({ scheduler: { retention: '1d' } });
    const removed = await second.client.dispatch(second.maths.double, 1);
    await time.advance('2d');
    expect(await second.client.get(removed)).toBeUndefined();
  });

  it('runs the embedded scheduler in memory, whatever else is configured', async () => {
    process.env.DISPATCH_API_URL = 'https://scheduler.invalid';
    process.env.DISPATCH_API_KEY = 'secret';
    const { client, maths } = await start({ endpointUrl: 'https://app.invalid', scheduler: false });
    const id = await client.dispatch(maths.double, 2);
    await time.drain();
    expect(await client.wait(id)).toBe(4);
  });

  it('hands the calls of an application that was closed to the next one', async () => {
    const before = await start();
    const id = await before.client.dispatch(before.maths.later, '2d');
    await time.advance('1d');
    await before.app.close();

    const after = await start();
    await time.advance('1d');
    expect(await after.client.wait(id)).toBe('done');
  });

  it('moves although timers are faked', async () => {
    jest.useFakeTimers({ doNotFake: ['performance', 'nextTick', 'queueMicrotask'] });
    try {
      const { client, maths } = await start();
      const id = await client.dispatch(maths.later, '3d');
      await time.advance('3d');
      expect(await client.wait(id)).toBe('done');
    } finally {
      jest.useRealTimers();
    }
  });
});
