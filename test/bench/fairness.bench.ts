/**
 * Order and limits of the scheduler.
 *
 *     node --import ./test/support/ts-loader.mjs test/bench/fairness.bench.ts [calls]
 *
 * How long ten single calls take that are dispatched right after a root has fanned out 100,000, on SQLite; what the queue
 * costs for each call; and, on a clock that stands still but for what is waited for, what endpoints elsewhere are given.
 */
import { join } from 'node:path';
import { EndpointEntry } from '../../lib/scheduler/core/endpoint-entry.js';
import { FunctionEntry } from '../../lib/scheduler/core/function-entry.js';
import { freshProgress } from '../../lib/scheduler/core/progress.js';
import { ReadyQueue } from '../../lib/scheduler/core/ready-queue.js';
import { CallRecord } from '../../lib/scheduler/core/record.js';
import { EndpointModel } from '../support/endpoint-model.js';
import { turns } from '../support/manual-clock.js';
import { LOCAL, World } from '../unit/scheduler/world.js';
import { NOW } from '../contract/calls.js';
import { scratch, startApp } from './calls/app.js';

const FLOOD = Number(process.argv[2] ?? 100_000);
const SINGLES = 10;
/** Calls that are in the queue at a time. */
const DEPTH = 1_000;
const MINUTE = 60_000;

await flood('right after it');
await flood('once its calls are recorded');
queue();
await throttling();
await death();
await slowAndFast();

/** Through an application: the root is a durable function that gathers so many calls of another. */
async function flood(when: 'right after it' | 'once its calls are recorded'): Promise<void> {
  const { app, client, work } = await startApp(join(scratch(), 'calls.db'));
  await work.fan(2_000).result();
  const started = performance.now();
  const root = await work.fan(FLOOD).dispatch();
  if (when !== 'right after it') while ((await client.get(root))?.state !== 'suspended') await turns(1);
  const begun = performance.now();
  await Promise.all(Array.from({ length: SINGLES }, (_, n) => work.trivial(n).result()));
  const took = performance.now() - begun;
  await client.wait(root);
  const whole = performance.now() - started;
  console.log(
    `Node ${process.version}: a root fans out ${FLOOD} calls, ${Math.round(whole)} ms in all (${Math.round((FLOOD / whole) * 1000)} calls/s). ` +
      `${SINGLES} single calls dispatched ${when}: done in ${took.toFixed(1)} ms (${((100 * took) / whole).toFixed(2)} %).`,
  );
  await app.close();
}

/** Calls of ten functions in and out of the queue: single ones, and those of a hundred roots. */
function queue(): void {
  const endpoint = new EndpointEntry(LOCAL, undefined, () => undefined);
  const functions = Array.from({ length: 10 }, (_, index) => new FunctionEntry(endpoint, `f${index}`));
  const records = (parentOf: (n: number) => string) =>
    Array.from({ length: 200_000 }, (_, n) => {
      const [id, parentId] = [n.toString(16).padStart(32, '0'), parentOf(n)];
      const header = {
        id,
        parentId,
        rootId: parentId === '' ? id : parentId,
        correlationId: 0n,
        parentIncarnation: 0,
        createdAt: NOW,
        expiresAt: undefined,
        priority: 0,
        key: '',
      };
      return new CallRecord(header, functions[n % 10] ?? functions[0]!, '', freshProgress(NOW, 1));
    });
  for (const [name, parentOf] of [
    ['single calls', () => ''],
    ['calls of 100 roots', (n: number) => (n % 100).toString(16).padStart(32, 'a')],
  ] as const) {
    const calls = records(parentOf);
    const ready = new ReadyQueue(() => true);
    for (let round = 0; round < 3; round++) {
      const started = performance.now();
      for (let from = 0; from < calls.length; from += DEPTH) {
        for (let n = from; n < from + DEPTH; n++) ready.push(calls[n]!);
        while (ready.take() !== undefined);
      }
      const cost = ((performance.now() - started) / calls.length) * 1000;
      if (round === 2) console.log(`The queue: ${cost.toFixed(2)} µs a call, in and out (${name}).`);
    }
  }
}

async function throttling(): Promise<void> {
  const { world, model } = await worldWith({ f: { latency: 100, capacity: 20 } });
  const endpoint = model('f');
  await dispatch(world, 'f', 20_000);
  await pass(world, 5_000);
  const found = endpoint.throttled / endpoint.requests.length;
  endpoint.forget();
  await pass(world, MINUTE);
  console.log(
    `An endpoint that throttles above 20: ${endpoint.averageConcurrency.toFixed(1)} runs at a time on average, ` +
      `${((100 * endpoint.throttled) / endpoint.requests.length).toFixed(1)} % of the answers THROTTLED ` +
      `(${(100 * found).toFixed(1)} % in the first 5 s).`,
  );
  await world.scheduler.stop({ grace: 0 });
}

async function death(): Promise<void> {
  const { world, model } = await worldWith({ f: { latency: 50 } });
  const endpoint = model('f');
  await dispatch(world, 'f', 50_000);
  await pass(world, 5_000);
  endpoint.isDown = true;
  endpoint.forget();
  await pass(world, 10_000);
  const first = endpoint.requests.length;
  endpoint.forget();
  await pass(world, 10 * MINUTE);
  const perMinute = endpoint.requests.length / 10;
  endpoint.isDown = false;
  const back = world.clock.now();
  endpoint.forget();
  while (endpoint.completed === 0) await pass(world, 10);
  const answered = world.clock.now() - back;
  while (endpoint.averageConcurrency < 50) {
    endpoint.forget();
    await pass(world, 100);
  }
  console.log(
    `An endpoint that dies: ${first} requests in the first 10 s, then ${perMinute.toFixed(1)} a minute; back, its first ` +
      `call is done after ${(answered / 1000).toFixed(1)} s, and it has 50 runs at a time after ${((world.clock.now() - back) / 1000).toFixed(1)} s.`,
  );
  await world.scheduler.stop({ grace: 0 });
}

async function slowAndFast(): Promise<void> {
  const alone = await worldWith({ fast: { latency: 10 } });
  const together = await worldWith({ slow: { latency: 30_000 }, fast: { latency: 10 } });
  await dispatch(together.world, 'slow', 5_000);
  await pass(together.world, MINUTE);
  const times: number[] = [];
  for (const { world, model } of [alone, together]) {
    const begun = world.clock.now();
    await dispatch(world, 'fast', 1_000);
    while (model('fast').completed < 1_000) await pass(world, 5);
    times.push(world.clock.now() - begun);
    await world.scheduler.stop({ grace: 0 });
  }
  console.log(
    `1,000 calls of a fast endpoint: ${times[0]} ms alone, ${times[1]} ms beside a slow one with 5,000 calls.`,
  );
}

async function worldWith(behaviours: Record<string, ConstructorParameters<typeof EndpointModel>[1]>) {
  const world = await World.started();
  const models = new Map(Object.entries(behaviours).map(([name, how]) => [name, new EndpointModel(world.clock, how)]));
  for (const [name, { run }] of models) world.define(name, run);
  const model = (name: string): EndpointModel => models.get(name) ?? new EndpointModel(world.clock, { latency: 0 });
  return { world, model };
}

async function dispatch(world: World, name: string, count: number): Promise<void> {
  await world.scheduler.dispatch(Array.from({ length: count }, () => ({ endpoint: `http://${name}`, function: name })));
}

function pass(world: World, milliseconds: number): Promise<void> {
  return world.clock.advance(milliseconds, () => turns(3));
}
