/** The application of W7: makes the steps, says so, and is killed; started again, it says when the next step ran. */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DispatchClient, DispatchFunction, DispatchModule } from '../../../lib/index.js';
import { round } from './measure.js';

const [store = '', steps = '0', life = ''] = process.argv.slice(2);
const report = (what: string, figures?: unknown): void => void process.send?.({ what, figures });
const started = performance.now();
let up = NaN;

@Injectable()
class Work {
  @DispatchFunction({ name: 'trivial' })
  async trivial(n: number): Promise<number> {
    return n;
  }

  @DispatchFunction({ name: 'last' })
  async last(): Promise<void> {
    const at = performance.now();
    report('resumed', {
      'next step after the application is up, ms': round(at - up, 1),
      'after its start, ms': round(at - started, 1),
    });
  }

  @DispatchFunction({ name: 'long' })
  async long(count: number): Promise<void> {
    for (let n = 0; n < count; n++) await this.trivial(n);
    // What no journal has: the first process is killed here, and the second goes on.
    if (life === 'first') await new Promise<void>(() => report('there'));
    await this.last();
  }
}

@Module({ imports: [DispatchModule.forRoot({ scheduler: { store } })], providers: [Work] })
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'fatal'] });
up = performance.now();
const client = app.get(DispatchClient);
if ((await client.list({ roots: true })).calls.length === 0)
  await client.of(app.get(Work)).long(Number(steps)).dispatch();
