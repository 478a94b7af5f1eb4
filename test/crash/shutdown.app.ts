/**
 * An application that is asked to end while it has work of every kind: `shutdown.app.ts <store> <effects file>`. Dispatches
 * each kind under a key, so that a restart goes on with it; prints `ready` when all is under way (at a restart: at once),
 * and `result <kind> <value>` of each.
 */
import { Injectable, Module, type OnApplicationShutdown } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { appendFileSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { currentCall, DispatchClient, DispatchFunction, DispatchModule, sleep } from '../../lib/index.js';

const [store = '', effects = ''] = process.argv.slice(2);
const note = (effect: string): void => appendFileSync(effects, `${effect}\n`);
const noted = (effect: string): boolean => readFileSync(effects, 'utf8').split('\n').includes(effect);

const isRestart = noted('ready');
/** Until the application is ending, which its client tells by refusing; at a restart nothing waits any more. */
async function untilEnding(): Promise<void> {
  if (isRestart) return;
  for (;;) {
    try {
      await client.get('0'.repeat(32));
    } catch {
      return;
    }
    await delay(2);
  }
}

@Injectable()
class Work {
  /** Ends soon after the application has begun to. */
  @DispatchFunction()
  async short(): Promise<string> {
    note('short begins');
    await untilEnding();
    await delay(20);
    note('short ends');
    return 'short';
  }
  /** Would go on for ever. */
  @DispatchFunction()
  async long(): Promise<string> {
    note('long begins');
    if (isRestart) return 'long';
    const { signal } = currentCall();
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    note('long is aborted');
    throw signal.reason;
  }
  /** One runs at a time: the others are pending. */
  @DispatchFunction({ concurrency: 1 })
  async queued(n: number): Promise<number> {
    note(`queued ${n}`);
    await untilEnding();
    return n;
  }
  @DispatchFunction()
  async asleep(): Promise<string> {
    note('asleep begins');
    await this.leaf('before');
    await sleep('3s');
    return this.leaf('after');
  }
  /** Makes a durable call while the application ends. */
  @DispatchFunction()
  async calling(): Promise<string> {
    await untilEnding();
    return this.leaf('calling');
  }
  @DispatchFunction()
  async leaf(value: string): Promise<string> {
    note(`leaf ${value}`);
    return value;
  }
}

@Injectable()
class Late implements OnApplicationShutdown {
  constructor(
    private readonly client: DispatchClient,
    private readonly work: Work,
  ) {}

  async onApplicationShutdown(): Promise<void> {
    try {
      await this.client.dispatch(this.work.leaf, 'too late');
    } catch (error) {
      console.log(`refused ${(error as Error).name} ${(error as Error).message}`);
    }
  }
}

@Module({
  imports: [DispatchModule.forRoot({ scheduler: { store, shutdownGrace: '1s' } })],
  providers: [Work, Late],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'fatal'] });
app.enableShutdownHooks();
const client = app.get(DispatchClient);
const of = (key: string) => client.with({ idempotencyKey: key }).of(app.get(Work));
const ids = {
  short: await of('short').short().dispatch(),
  long: await of('long').long().dispatch(),
  asleep: await of('asleep').asleep().dispatch(),
  calling: await of('calling').calling().dispatch(),
  queued1: await of('queued1').queued(1).dispatch(),
  queued2: await of('queued2').queued(2).dispatch(),
  queued3: await of('queued3').queued(3).dispatch(),
};
console.log(`ids ${JSON.stringify(ids)}`);
if (isRestart) {
  for (const [kind, id] of Object.entries(ids)) console.log(`result ${kind} ${String(await client.wait(id))}`);
  await app.close();
} else {
  while (!['short begins', 'long begins', 'queued 1'].every(noted)) await delay(2);
  while ((await client.get(ids.asleep))?.waitsFor !== 'time') await delay(2);
  while ((await client.get(ids.calling))?.state !== 'running') await delay(2);
  note('ready');
  console.log('ready');
}
