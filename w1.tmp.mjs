import 'reflect-metadata';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
const root = process.env.ROOT ?? process.cwd();
const { DispatchClient, DispatchFunction, DispatchModule, gather } = await import(root + '/dist/lib/index.js');
const { Injectable, Module } = await import(root + '/node_modules/@nestjs/common/index.js').then(m => m.default ?? m);
const { NestFactory } = await import(root + '/node_modules/@nestjs/core/index.js').then(m => m.default ?? m);
class Work {
  async trivial(n) { return n; }
  async sequence(steps) { for (let n = 0; n < steps; n++) await this.trivial(n); return steps; }
  async fan(width) { return (await gather(Array.from({ length: width }, (_, n) => this.trivial(n)))).length; }
}
for (const name of ['trivial', 'sequence', 'fan']) { const d = Object.getOwnPropertyDescriptor(Work.prototype, name); const r = DispatchFunction({ name })(Work.prototype, name, d); if (r) Object.defineProperty(Work.prototype, name, r); else Object.defineProperty(Work.prototype, name, d); }
Injectable()(Work);
const folder = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'w1-'));
const store = process.env.STORE ?? join(folder, 'calls.db');
class AppModule {}
Module({ imports: [DispatchModule.forRoot({ scheduler: { store } })], providers: [Work] })(AppModule);
const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'fatal', 'warn'] });
const client = app.get(DispatchClient); const work = client.of(app.get(Work));
const K = Number(process.env.K ?? 3);
const best = {};
async function timed(name, count, run) {
  const h = monitorEventLoopDelay({ resolution: 1 }); h.enable();
  const c = process.cpuUsage(), tc = process.threadCpuUsage?.(), t = performance.now(); await run(); const w = performance.now() - t; const { user, system } = process.cpuUsage(c);
  const m = tc && process.threadCpuUsage(tc); h.disable();
  const rate = Math.round(count / w * 1000); best[name] = Math.max(best[name] ?? 0, rate);
  console.log(name.padEnd(14), `${String(rate).padStart(6)}/s wall ${(w * 1000 / count).toFixed(1)} µs cpu ${((user + system) / count).toFixed(1)}${m ? ` main ${((m.user + m.system) / count).toFixed(1)}` : ''} loop p99 ${(h.percentile(99) / 1e6).toFixed(1)} max ${(h.max / 1e6).toFixed(0)} ms`);
}
const what = process.argv.slice(2); const on = (x) => !what.length || what.includes(x);
for (let k = 0; k < K; k++) {
  const N = 10_000;
  if (on('batch')) await timed('batch', N, async () => {
    const ids = [];
    for (let n = 0; n < N; n += 1000) { const b = client.batch(); for (let i = 0; i < 1000; i++) b.add(work.trivial(n + i)); ids.push(...(await b.dispatch())); }
    await Promise.all(ids.map((id) => client.wait(id)));
  });
  if (on('bulk')) await timed('bulk', N, async () => {
    const batches = []; for (let n = 0; n < N; n += 1000) batches.push(client.gather(Array.from({ length: 1000 }, (_, i) => work.trivial(n + i)))); await Promise.all(batches);
  });
  if (on('single')) await timed('single', N, async () => { let n = 0; await Promise.all(Array.from({ length: 100 }, async () => { while (n < N) { n++; await work.trivial(n).result(); } })); });
  if (on('seq')) await timed('500x10', 5000, () => Promise.all(Array.from({ length: 500 }, () => work.sequence(10).result())));
  if (on('seq1')) await timed('1x1000', 1000, () => work.sequence(1000).result());
  if (on('fan')) await timed('gather1000', 1000, () => work.fan(1000).result());
  if (on('idle')) { const a = []; for (let i = 0; i < 200; i++) { await new Promise(r => setTimeout(r, 3)); const t = performance.now(); await work.trivial(i).result(); a.push(performance.now() - t); } a.sort((x, y) => x - y); console.log('idle p50', a[100].toFixed(2), 'p99', a[197].toFixed(2)); }
}
await app.close(); rmSync(folder, { recursive: true, force: true });
