/**
 * Calls per second and steps per second of an application on the SQLite store, with fsync before every acknowledgement.
 *
 *   node --import ./test/support/ts-loader.mjs test/bench/calls.bench.ts [W1 W2 W3 W4 W5]
 *
 * W1 10,000 trivial calls, dispatched in batches of 1,000 and one by one from 100 callers, all completed
 * W2 500 functions of 10 awaited calls at once · W3 one function of 100, 1,000 and 5,000 awaited calls
 * W4 a gather of 1,000 calls · W5 one call on an idle system
 */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DispatchClient, DispatchFunction, DispatchModule, gather } from '../../lib/index.js';

@Injectable()
class Work {
  @DispatchFunction({ name: 'trivial' })
  async trivial(n: number): Promise<number> {
    return n;
  }
  @DispatchFunction({ name: 'sequence' })
  async sequence(steps: number): Promise<number> {
    for (let n = 0; n < steps; n++) await this.trivial(n);
    return steps;
  }
  @DispatchFunction({ name: 'fan' })
  async fan(width: number): Promise<number> {
    return (await gather(Array.from({ length: width }, (_, n) => this.trivial(n)))).length;
  }
}

const folder = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'dispatch-bench-'));

@Module({ imports: [DispatchModule.forRoot({ scheduler: { store: join(folder, 'calls.db') } })], providers: [Work] })
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'fatal'] });
const client = app.get(DispatchClient);
const work = client.of(app.get(Work));

const selected = process.argv.slice(2);
const round = (value: number, digits = 2): number => Number(value.toFixed(digits));
const percentile = (times: number[], p: number): number =>
  [...times].sort((a, b) => a - b)[Math.min(times.length - 1, Math.floor((times.length * p) / 100))] ?? 0;

async function timed(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

async function pool(count: number, callers: number, run: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (next < count) await run(next++);
    }),
  );
}

const workloads: Record<string, () => Promise<Record<string, number>>> = {
  async W1() {
    const count = 10_000;
    const batched = await timed(async () => {
      const ids: string[] = [];
      for (let n = 0; n < count; n += 1000) {
        const batch = client.batch();
        for (let i = 0; i < 1000; i++) batch.add(work.trivial(n + i));
        ids.push(...(await batch.dispatch()));
      }
      await Promise.all(ids.map((id) => client.wait(id)));
    });
    const single = await timed(() => pool(count, 100, (n) => work.trivial(n).result()));
    return {
      'calls/s in batches': round(count / (batched / 1000), 0),
      'calls/s one by one, 100 callers': round(count / (single / 1000), 0),
    };
  },
  async W2() {
    const time = await timed(() => Promise.all(Array.from({ length: 500 }, () => work.sequence(10).result())));
    return { 'steps/s': round(5000 / (time / 1000), 0) };
  },
  async W3() {
    const times: Record<string, number> = {};
    for (const steps of [100, 1000, 5000]) {
      const time = await timed(() => work.sequence(steps).result());
      times[`${steps} steps, ms`] = round(time, 1);
      times[`${steps} steps, ms each`] = round(time / steps, 3);
    }
    return times;
  },
  async W4() {
    const times: number[] = [];
    for (let n = 0; n < 5; n++) times.push(await timed(() => work.fan(1000).result()));
    return { 'gather of 1,000, ms (median of 5)': round(percentile(times, 50), 1) };
  },
  async W5() {
    const times: number[] = [];
    for (let n = 0; n < 300; n++) {
      await new Promise((resolve) => setTimeout(resolve, 3));
      times.push(await timed(() => work.trivial(n).result()));
    }
    return { 'p50, ms': round(percentile(times, 50)), 'p99, ms': round(percentile(times, 99)) };
  },
};

try {
  await work.sequence(50).result(); // warm
  for (const [name, run] of Object.entries(workloads)) {
    if (selected.length > 0 && !selected.includes(name)) continue;
    const figures = await run();
    console.log(
      name,
      Object.entries(figures)
        .map(([what, value]) => `${what}: ${value}`)
        .join(' · '),
    );
  }
} finally {
  await app.close();
  rmSync(folder, { recursive: true, force: true });
}
