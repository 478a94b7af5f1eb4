import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { StandaloneOptions, StandaloneScheduler } from '../../lib/standalone/index.js';
import { HttpEndpoint, refuseWithHttp, refuseWithStatus } from '../support/http-endpoint.js';
import { StandaloneWorld } from '../support/standalone-world.js';

/** Runs of the scheduler at the same time. */
const SLOTS = 100;
const WINDOW = 200;

const world = new StandaloneWorld();
const endpoints: HttpEndpoint[] = [];
let scheduler: StandaloneScheduler;
beforeEach(() => start());
afterEach(async () => {
  await world.end();
  await Promise.all(endpoints.splice(0).map((endpoint) => endpoint.die()));
});

async function start(options: Partial<StandaloneOptions> = {}): Promise<void> {
  scheduler = await world.scheduler({ concurrency: SLOTS, ...options });
}

async function endpoint(behaviour: Partial<HttpEndpoint> = {}): Promise<HttpEndpoint> {
  const made = Object.assign(await HttpEndpoint.listening(), behaviour);
  endpoints.push(made);
  return made;
}

async function flood({ url }: HttpEndpoint, count: number): Promise<void> {
  const response = await fetch(`${scheduler.url}/dispatch.sdk.v1.DispatchService/Dispatch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ calls: Array.from({ length: count }, () => ({ endpoint: url, function: 'f' })) }),
  });
  expect(response.status).toBe(200);
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await delay(5);
};

async function metric(name: string): Promise<number> {
  const lines = (await (await fetch(`${scheduler.url}/metrics`)).text()).split('\n');
  return Number(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? 0);
}

const unreached = (): Promise<number> => metric('dispatch_runs_total{status="TCP_ERROR"}');

/** What was under way when it went down has ended. */
async function untilDown(): Promise<void> {
  await until(() => world.lines.some((line) => line.includes('does not answer')));
  while ((await metric('dispatch_calls{state="running"}')) > 0) await delay(5);
}

/** The most that an endpoint had at a time, for each so many requests. */
function peaks({ taken }: HttpEndpoint): number[] {
  return Array.from({ length: Math.floor(taken.length / WINDOW) }, (_, n) =>
    Math.max(...taken.slice(n * WINDOW, (n + 1) * WINDOW)),
  );
}

describe('an endpoint of a standalone scheduler, over HTTP', () => {
  it.each([
    ['HTTP status 429', refuseWithHttp()],
    ['THROTTLED', refuseWithStatus],
  ])('that answers %s above 20 requests at a time is given about 20', async (_how, refuse) => {
    const busy = await endpoint({ capacity: 20, refuse });
    await flood(busy, 2_000);
    await until(() => busy.taken.length >= 600);
    busy.forget();
    await until(() => busy.taken.length >= 1_000);
    for (const peak of peaks(busy)) expect(peak).toBeGreaterThan(16);
    expect(busy.most).toBeLessThanOrEqual(25);
    expect(busy.refused / busy.requests).toBeLessThan(0.05);
  });

  it('that asks for a rest when it is too much is not driven to that again and again', async () => {
    const busy = await endpoint({ capacity: 20, refuse: refuseWithHttp({ 'retry-after': '1' }) });
    await flood(busy, 2_000);
    await until(() => busy.taken.length >= 600);
    busy.forget();
    await until(() => busy.taken.length >= 1_000);
    for (const peak of peaks(busy)) expect(peak).toBeGreaterThan(16);
    expect(busy.refused).toBeLessThanOrEqual(2);
  });

  it('that dies is tried now and then, and has its calls once it is back', async () => {
    const mortal = await endpoint();
    await flood(mortal, 1_000);
    await until(() => mortal.completed >= 100);
    await mortal.die();
    await untilDown();
    const before = await unreached();
    await delay(3_000);
    // After a quarter of a second at the earliest, and then after twice as long each time.
    expect((await unreached()) - before).toBeLessThanOrEqual(4);
    mortal.forget();
    await mortal.listen();
    await until(() => mortal.completed >= 800);
    expect(mortal.refused).toBe(0);
  });

  it('that hangs is tried now and then, and has its calls once it answers', async () => {
    await start({ runTimeout: 500 });
    const hanging = await endpoint();
    await flood(hanging, 500);
    await until(() => hanging.completed >= 100);
    hanging.isSilent = true;
    await untilDown();
    hanging.forget();
    await delay(3_000);
    expect(hanging.requests).toBeLessThanOrEqual(4);
    hanging.isSilent = false;
    await until(() => hanging.completed >= 300);
  });

  it('that is slow does not delay one that is fast', async () => {
    const slow = await endpoint({ isSilent: true });
    await flood(slow, 500);
    await until(() => slow.most >= 10);
    const fast = await endpoint();
    await flood(fast, 500);
    await until(() => fast.completed === 500);
    expect(slow.completed).toBe(0);
  });

  it('is called over connections that are used again', async () => {
    const busy = await endpoint();
    await flood(busy, 1_000);
    await until(() => busy.completed === 1_000);
    expect(busy.connections).toBeLessThanOrEqual(2 * SLOTS);
  });

  it('is told how much time a run has', async () => {
    await start({ runTimeout: 60_000 });
    const told = await endpoint();
    await flood(told, 1);
    await until(() => told.completed === 1);
    const timeout = Number(told.headers['connect-timeout-ms']);
    expect(timeout).toBeGreaterThan(0);
    expect(timeout).toBeLessThanOrEqual(60_000);
  });
});
