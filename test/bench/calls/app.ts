import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { INestApplicationContext } from '@nestjs/common';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DispatchClient, DispatchFunction, DispatchModule, gather, sleep } from '../../../lib/index.js';
import type { CallsOf, DispatchModuleOptions } from '../../../lib/index.js';

@Injectable()
export class Work {
  /** Called when `sequence` has made that many steps. */
  onStep: (step: number) => unknown = () => {};

  @DispatchFunction({ name: 'trivial' })
  async trivial(n: number): Promise<number> {
    return n;
  }

  @DispatchFunction({ name: 'sequence' })
  async sequence(steps: number): Promise<number> {
    for (let n = 0; n < steps; n++) this.onStep(await this.trivial(n));
    return steps;
  }

  @DispatchFunction({ name: 'fan' })
  async fan(width: number): Promise<number> {
    return (await gather(Array.from({ length: width }, (_, n) => this.trivial(n)))).length;
  }

  @DispatchFunction({ name: 'nap' })
  async nap(duration: string): Promise<void> {
    await sleep(duration);
  }
}

export interface BenchApp {
  readonly app: INestApplicationContext;
  readonly client: DispatchClient;
  readonly provider: Work;
  readonly work: CallsOf<Work>;
}

/** A folder that is gone when the process ends. */
export function scratch(): string {
  const folder = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'dispatch-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function startApp(store: string, options: DispatchModuleOptions = {}): Promise<BenchApp> {
  @Module({ imports: [DispatchModule.forRoot({ scheduler: { store }, ...options })], providers: [Work] })
  class AppModule {}

  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'fatal'] });
  const client = app.get(DispatchClient);
  const provider = app.get(Work);
  return { app, client, provider, work: client.of(provider) };
}
