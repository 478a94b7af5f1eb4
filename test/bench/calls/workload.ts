import { fork } from 'node:child_process';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { scratch, startApp, type BenchApp } from './app.js';
import { storeLimit, withBareCommits } from './limit.js';
import {
  bytesWritten,
  heldMemory,
  median,
  percentile,
  pool,
  print,
  repeat,
  round,
  settledMemory,
  timed,
  type Figures,
} from './measure.js';

const CALLS = 10_000;
const IN_A_BATCH = 1_000;
const CALLERS = 100;
const folder = scratch();
const store = join(folder, 'calls.db');

const perSecond = (count: number, ms: number): number => round(count / (ms / 1_000), 0);

async function dispatchInBatches({ client, work }: BenchApp, count: number): Promise<void> {
  const ids: string[] = [];
  for (let start = 0; start < count; start += IN_A_BATCH) {
    const batch = client.batch();
    for (let n = 0; n < IN_A_BATCH; n++) batch.add(work.trivial(start + n));
    ids.push(...(await batch.dispatch()));
  }
  for (const id of ids) await client.wait(id);
}

const oneByOne = ({ work }: BenchApp, count: number): Promise<void> =>
  pool(count, CALLERS, (n) => work.trivial(n).result());

/** As much as code needs to be compiled by V8. */
async function warmUp(app: BenchApp): Promise<void> {
  await dispatchInBatches(app, CALLS);
  await oneByOne(app, CALLS);
  await app.work.sequence(500).result();
}

async function withApp(run: (app: BenchApp) => Promise<Figures>): Promise<Figures> {
  const app = await startApp(store);
  try {
    return await run(app);
  } finally {
    await app.app.close();
  }
}

const workloads: Record<string, () => Promise<Figures>> = {
  async W1() {
    const limit = await storeLimit(folder);
    return withApp(async (app) => {
      await warmUp(app);
      const batched = perSecond(CALLS, median(await repeat(5, () => timed(() => dispatchInBatches(app, CALLS)))));
      const loop = monitorEventLoopDelay({ resolution: 1 });
      loop.enable();
      const single = perSecond(CALLS, median(await repeat(5, () => timed(() => oneByOne(app, CALLS)))));
      loop.disable();
      return {
        'in batches, calls/s': batched,
        'one by one from 100 callers, calls/s': single,
        'bare loop, calls/s': round(limit, 0),
        'batches / loop': `1/${round(limit / batched)}`,
        'one by one / loop': `1/${round(limit / single)}`,
        'event loop delay p99, ms': round(loop.percentile(99) / 1e6, 1),
      };
    });
  },

  W2: () =>
    withApp(async (app) => {
      await warmUp(app);
      const run = (): Promise<unknown> =>
        Promise.all(Array.from({ length: 500 }, () => app.work.sequence(10).result()));
      await repeat(3, () => timed(run));
      return { 'steps/s': perSecond(5_000, median(await repeat(5, () => timed(run)))) };
    }),

  W3: () =>
    withBareCommits(folder, (commits) =>
      withApp(async (app) => {
        await warmUp(app);
        await commits(2_000);
        const figures: Figures = {};
        for (const steps of [100, 1_000, 5_000]) {
          const bare: number[] = [];
          const each: number[] = [];
          // In turns: the disk is not always as quick.
          for (let n = 0; n < (steps > 1_000 ? 2 : 5); n++) {
            bare.push(await commits(steps));
            each.push((await timed(() => app.work.sequence(steps).result())) / steps);
          }
          figures[`${steps} steps, ms a step`] = round(median(each), 3);
          figures[`${steps} bare commits, ms each`] = round(median(bare), 3);
          figures[`${steps} steps, commits' time a step`] = round(median(each) / median(bare));
        }
        return figures;
      }),
    ),

  W4: () =>
    withApp(async (app) => {
      await warmUp(app);
      return {
        'gather of 1,000, ms': round(median(await repeat(7, () => timed(() => app.work.fan(1_000).result()))), 1),
      };
    }),

  W5: () =>
    withApp(async (app) => {
      await warmUp(app);
      await delay(1_000);
      const times = await repeat(220, async () => {
        await delay(3);
        return timed(() => app.work.trivial(1).result());
      });
      const settled = times.slice(20);
      return { 'p50, ms': round(percentile(settled, 50)), 'p99, ms': round(percentile(settled, 99)) };
    }),

  W6: () => asleep(20_000),

  async W7() {
    const steps = 2_000;
    const start = (life: string): ReturnType<typeof fork> =>
      fork(fileURLToPath(new URL('./resumed.ts', import.meta.url)), [store, String(steps), life]);
    const first = start('first');
    await until(first, 'there');
    first.kill('SIGKILL');
    await new Promise((resolve) => first.once('exit', resolve));
    const second = start('second');
    const figures = await until(second, 'resumed');
    second.kill('SIGKILL');
    return figures as Figures;
  },

  W8: async () => {
    const app = await startApp(store, { maxLive: 1 });
    try {
      await app.work.sequence(2_000).result();
      const [short, long] = [await written(app, 1_000), await written(app, 10_000)];
      const dropped = await written(app, 10_000, 5_000);
      const differ = (a: number, b: number): string => `${round((100 * (b - a)) / a, 0)} %`;
      return {
        'of 1,000, ms a step': round(short.ms, 3),
        'of 10,000': round(long.ms, 3),
        'differ by': differ(short.ms, long.ms),
        'of 1,000, bytes a step': round(short.bytes, 0),
        'of 10,000 bytes': round(long.bytes, 0),
        'bytes differ by': differ(short.bytes, long.bytes),
        'with the instance dropped in the middle, ms in all': round(dropped.ms * 10_000, 0),
        without: round(long.ms * 10_000, 0),
      };
    } finally {
      await app.app.close();
    }
  },

  W9: () =>
    withApp(async (app) => {
      await warmUp(app);
      const rate = async (): Promise<number> =>
        perSecond(CALLS, median(await repeat(5, () => timed(() => dispatchInBatches(app, CALLS)))));
      const before = await rate();
      for (let n = 0; n < 1_000_000; n += 50_000) await dispatchInBatches(app, 50_000);
      const after = await rate();
      return {
        'empty, calls/s': before,
        'with 1,000,000 finished': after,
        'slower by': `${round((1 - after / before) * 100, 0)} %`,
      };
    }),

  W10: () => asleep(100_000),
};

/** Time and bytes for each step of a sequence. At step `dropAt` another function takes the one live place. */
async function written(
  { work, provider }: BenchApp,
  steps: number,
  dropAt = Infinity,
): Promise<{ ms: number; bytes: number }> {
  const bytes = bytesWritten();
  let reached = 0;
  provider.onStep = (step) => (reached = Math.max(reached, step));
  // Not in `onStep`: what the function dispatched itself would be a step of it.
  const watch = setInterval(() => {
    if (reached < dropAt) return;
    clearInterval(watch);
    void work.nap('10ms').dispatch();
  }, 1);
  const ms = await timed(() => work.sequence(steps).result());
  clearInterval(watch);
  provider.onStep = () => {};
  return { ms: ms / steps, bytes: (bytesWritten() - bytes) / steps };
}

/** Memory for functions that sleep, beside a process that has just started, and what the next start takes with them. */
async function asleep(count: number): Promise<Figures> {
  const app = await startApp(store);
  const before = await settledMemory();
  const heldBefore = await heldMemory();
  await dispatchNaps(app, count, '1d');
  // Until all sleep, and their instances have been idle long enough to be let go of.
  await delay(75_000);
  const after = await settledMemory();
  const usage = process.cpuUsage();
  await delay(10_000);
  const { user, system } = process.cpuUsage(usage);
  const held = await heldMemory();
  await app.app.close();
  const start = performance.now();
  const next = await startApp(store);
  const startMs = performance.now() - start;
  await next.app.close();
  return {
    asleep: count,
    'memory for them, MB (RSS)': round(after.rssMb - before.rssMb, 1),
    'without the pages that V8 keeps after a flood': round(held.rssMb - heldBefore.rssMb, 1),
    'heap for each, bytes': round(((after.heapMb - before.heapMb) * 2 ** 20) / count, 0),
    'CPU meanwhile, ms in 10 s': round((user + system) / 1_000, 1),
    'start with them, ms': round(startMs, 0),
  };
}

async function dispatchNaps(app: BenchApp, count: number, duration: string): Promise<void> {
  for (let n = 0; n < count; n += IN_A_BATCH) {
    const batch = app.client.batch();
    for (let i = 0; i < IN_A_BATCH; i++) batch.add(app.work.nap(duration));
    await batch.dispatch();
  }
}

function until(child: ReturnType<typeof fork>, what: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`The application ended with ${code} before it was ${what}.`)));
    child.on('message', (message: { what: string; figures: unknown }) => {
      if (message.what === what) resolve(message.figures);
    });
  });
}

const name = process.argv[2] ?? '';
const run = workloads[name];
if (run === undefined) throw new Error(`There is no workload ${name}.`);
print(name, await run());
process.exit(0);
