import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import type { SchedulerOptions } from '../../../lib/scheduler/index.js';
import { EndpointModel } from '../../support/endpoint-model.js';
import { turns } from '../../support/manual-clock.js';
import { exit, failed, FOREIGN, LOCAL, World } from './world.js';

const SECOND = 1_000;
const MINUTE = 60_000;

describe('an endpoint elsewhere', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const pass = (milliseconds: number) => world.clock.advance(milliseconds, () => turns(3));
  const model = (name: string, behaviour: ConstructorParameters<typeof EndpointModel>[1]) => {
    const endpoint = new EndpointModel(world.clock, behaviour);
    world.define(name, endpoint.run);
    return endpoint;
  };
  const flood = (name: string, count: number, endpoint = `http://${name}`) =>
    world.scheduler.dispatch(Array.from({ length: count }, () => ({ endpoint, function: name })));
  const again = async (options: SchedulerOptions) => world.restart(options);

  it('that throttles above 20 runs at a time is given about 20', async () => {
    const endpoint = model('f', { latency: 100, capacity: 20 });
    await flood('f', 6_000);
    await pass(5 * SECOND);
    endpoint.forget();
    await pass(15 * SECOND);
    expect(endpoint.averageConcurrency).toBeGreaterThan(16);
    expect(endpoint.averageConcurrency).toBeLessThanOrEqual(20);
    expect(endpoint.throttled / endpoint.requests.length).toBeLessThan(0.05);
  });

  it('that can take more after a while is given more, and less when it can take less', async () => {
    const endpoint = model('f', { latency: 100, capacity: 10 });
    await flood('f', 12_000);
    await pass(10 * SECOND);
    endpoint.capacity = 40;
    await pass(10 * SECOND);
    endpoint.forget();
    await pass(5 * SECOND);
    expect(endpoint.averageConcurrency).toBeGreaterThan(30);
    endpoint.capacity = 5;
    await pass(5 * SECOND);
    endpoint.forget();
    await pass(5 * SECOND);
    expect(endpoint.averageConcurrency).toBeLessThanOrEqual(5);
    expect(endpoint.throttled / endpoint.requests.length).toBeLessThan(0.2);
  });

  it('that takes all it is given gets what the limits allow', async () => {
    await again({ concurrency: 50, endpoints: { 'http://f': { concurrency: 30 } } });
    const limited = model('f', { latency: 1_000 });
    await flood('f', 1_000);
    await pass(10 * SECOND);
    limited.forget();
    await pass(10 * SECOND);
    expect(limited.averageConcurrency).toBe(30);
  });

  it('counts all that is throttled in one round trip once', async () => {
    const endpoint = model('f', { latency: 100 });
    await flood('f', 3_000);
    await pass(2 * SECOND);
    endpoint.forget();
    // All that is under way is refused at the same time, and nothing else.
    endpoint.capacity = 0;
    await pass(1);
    endpoint.capacity = Infinity;
    await pass(99);
    endpoint.forget();
    await pass(100);
    expect(endpoint.averageConcurrency).toBeGreaterThan(50);
  });

  it('that is down is tried by one run at a time, and its calls go on within seconds once it is back', async () => {
    const endpoint = model('f', { latency: 10 });
    await flood('f', 1_000);
    endpoint.isDown = true;
    await pass(10 * SECOND);
    endpoint.forget();
    await pass(5 * MINUTE);
    expect(endpoint.requests.length / 5).toBeLessThan(20);
    expect(endpoint.requests.length / 5).toBeGreaterThan(10);
    endpoint.isDown = false;
    await pass(5 * SECOND);
    expect(endpoint.completed).toBeGreaterThan(10);
    await pass(MINUTE);
    expect((await world.scheduler.list({ state: 'succeeded' }, { limit: 2_000 })).calls).toHaveLength(1_000);
    expect(world.log.lines).toEqual([
      expect.stringMatching(/^warn The endpoint http:\/\/f does not answer: .*tries it again every few seconds/),
      'log The endpoint http://f answers again; its calls go on.',
    ]);
  });

  it('that never answers is tried again, though the first try hangs', async () => {
    await again({ runTimeout: MINUTE });
    const endpoint = model('f', { latency: 10 });
    endpoint.isSilent = true;
    await flood('f', 100);
    await pass(3 * MINUTE);
    endpoint.forget();
    await pass(MINUTE);
    expect(endpoint.requests.length).toBeLessThan(10);
    endpoint.isSilent = false;
    await pass(15 * SECOND);
    expect(endpoint.completed).toBeGreaterThan(10);
  });

  it('that is slow does not delay one that is fast', async () => {
    const slow = model('slow', { latency: 60 * SECOND });
    const fast = model('fast', { latency: 10 });
    await flood('slow', 1_000);
    await pass(60 * SECOND);
    expect(slow.requests.length).toBeGreaterThan(20);
    fast.forget();
    const before = world.clock.now();
    await flood('fast', 500);
    await pass(SECOND);
    expect(fast.completed).toBe(500);
    expect(world.clock.now() - before).toBe(SECOND);
    world.define('local', () => exit());
    expect((await world.run('local')).state).toBe('succeeded');
  });

  it('is left alone for as long as it asks, and so is the call', async () => {
    const times: number[] = [];
    const start = world.clock.now();
    world.define('f', () => {
      times.push(world.clock.now() - start);
      return times.length === 1 ? { ...failed(Status.THROTTLED), retryAfter: 30_000 } : exit();
    });
    const [id = ''] = await flood('f', 1);
    await pass(SECOND);
    const [other = ''] = await flood('f', 1);
    await pass(SECOND);
    expect(await world.scheduler.get(other)).toMatchObject({ waitsFor: 'endpoint' });
    await world.idle();
    await pass(MINUTE);
    expect(times).toEqual([0, 30_000, 30_000]);
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
  });

  it('that asks for a rest when it has too much is seldom given too much', async () => {
    const endpoint = model('f', { latency: 250, capacity: 20, retryAfter: SECOND });
    await flood('f', 14_000);
    await pass(20 * SECOND);
    endpoint.forget();
    await pass(MINUTE);
    expect(endpoint.averageConcurrency).toBeGreaterThan(17);
    expect(endpoint.throttled).toBeLessThan(6);
    // And finds out all the same when it can take more.
    endpoint.capacity = 40;
    await pass(40 * SECOND);
    endpoint.forget();
    await pass(5 * SECOND);
    expect(endpoint.averageConcurrency).toBeGreaterThan(30);
  });

  it('that asked for a rest while it was down is soon given as much as before once it is back', async () => {
    let isDown = true;
    const endpoint = model('f', { latency: 250 });
    world.define('g', () => {
      if (isDown) return { ...failed(Status.TEMPORARY_ERROR), retryAfter: 15_000 };
      return endpoint.run();
    });
    await flood('g', 2_000);
    await pass(MINUTE);
    isDown = false;
    await pass(20 * SECOND);
    endpoint.forget();
    await pass(2 * SECOND);
    expect(endpoint.averageConcurrency).toBeGreaterThan(20);
  });

  it('is left alone for as long as it asks, though requests beside that one are lost', async () => {
    const times: number[] = [];
    const start = world.clock.now();
    world.define('f', () => {
      times.push(world.clock.now() - start);
      if (times.length === 1) return { ...failed(Status.TEMPORARY_ERROR), retryAfter: 30_000 };
      return times.length <= 10 ? failed(Status.TCP_ERROR) : exit();
    });
    await flood('f', 10);
    await pass(29 * SECOND);
    expect(times).toEqual(Array.from({ length: 10 }, () => 0));
    await pass(10 * MINUTE);
    expect((await world.scheduler.list({ state: 'succeeded' }, { limit: 20 })).calls).toHaveLength(10);
  });

  it('is not slowed down by what its functions fail with themselves', async () => {
    const endpoint = model('good', { latency: 100 });
    world.define('bad', () => ({ ...failed(Status.TCP_ERROR), ran: true }));
    await flood('bad', 50, 'http://one');
    await flood('good', 2_000, 'http://one');
    await pass(SECOND);
    endpoint.forget();
    await pass(SECOND);
    expect(endpoint.averageConcurrency).toBeGreaterThan(70);
  });

  it('is tried again by another run when the one that tried it was cancelled', async () => {
    await again({ cancelGrace: 100 });
    const endpoint = model('f', { latency: 10 });
    endpoint.isDown = true;
    await flood('f', 100);
    await pass(MINUTE);
    endpoint.isSilent = true;
    endpoint.forget();
    while (endpoint.requests.length === 0) await pass(100);
    endpoint.isSilent = false;
    endpoint.isDown = false;
    const trial = (await world.scheduler.list()).calls.find(({ state }) => state === 'running');
    await world.scheduler.cancel(trial?.id ?? '');
    await pass(6 * SECOND);
    expect((await world.scheduler.list({ state: 'succeeded' })).calls).toHaveLength(99);
  });
});

describe('functions of this application', () => {
  it('do not slow each other down, whatever they fail with', async () => {
    const world = await World.started({ concurrency: 10 });
    const good = new EndpointModel(world.clock, { latency: 100 });
    world.define('good', good.run);
    const statuses = [Status.THROTTLED, Status.TIMEOUT, Status.TCP_ERROR];
    statuses.forEach((status) => world.define(`bad${status}`, () => failed(status)));
    await world.scheduler.dispatch([
      ...statuses.flatMap((status) =>
        Array.from({ length: 10 }, () => ({ endpoint: LOCAL, function: `bad${status}`, expiration: 3_000 })),
      ),
      ...Array.from({ length: 400 }, () => ({ endpoint: LOCAL, function: 'good' })),
    ]);
    await world.clock.advance(4_500, () => turns(3));
    expect(good.completed).toBe(400);
    await world.scheduler.stop({ grace: 0 });
  });

  it('that take time leave slots to others where they have a limit', async () => {
    const world = await World.started({ concurrency: 4 });
    world.scheduler.setFunctions(LOCAL, [{ name: 'slow', concurrency: 3 }]);
    world.define('slow', () => new Promise(() => undefined));
    world.define('fast', () => exit());
    await world.scheduler.dispatch([
      ...Array.from({ length: 50 }, () => ({ endpoint: LOCAL, function: 'slow' })),
      ...Array.from({ length: 50 }, () => ({ endpoint: FOREIGN, function: 'fast' })),
    ]);
    await turns(200);
    expect(world.requestsOf('slow')).toHaveLength(3);
    expect(world.requestsOf('fast')).toHaveLength(50);
    await world.scheduler.stop({ grace: 0 });
  });
});
