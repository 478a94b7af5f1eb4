/**
 * An application of a fleet with a bit of everything: `leftovers.app.ts <address of the store> <lease> <main | other>`. It prints
 * `ready`, and does what its standard input says: `dispatch <function> <key> <n>` dispatches one call or finds it (`ack <id>`),
 * `cancel <id>` cancels it, and `wait <id>` prints `ended <id> <state>`.
 */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import {
  call,
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  gather,
  PermanentError,
  sleep,
  step,
  tailCall,
} from '../../lib/index.js';
import { PostgresStore } from '../../lib/scheduler/index.js';

const [url = '', lease = '', role = ''] = process.argv.slice(2);

@Injectable()
class Leaf {
  @DispatchFunction({ name: 'leaf', concurrency: 3 })
  async run(n: number): Promise<number> {
    await delay(Math.random() * 10);
    return n;
  }

  @DispatchFunction({ name: 'fails' })
  async fail(): Promise<void> {
    throw new PermanentError('as it should');
  }

  @DispatchFunction({ name: 'keyed' })
  async keyed(n: number): Promise<number> {
    await sleep(5);
    return n;
  }

  @DispatchFunction({ name: 'hangs' })
  async hang(): Promise<void> {
    await gather([this.keyed(1), sleep('1h')]);
  }
}

@Injectable()
class Tree {
  constructor(private readonly leaf: Leaf) {}

  @DispatchFunction({ name: 'tree' })
  async run(n: number): Promise<number> {
    const before = await step(() => n);
    await gather(Array.from({ length: 4 }, (_, i) => this.leaf.run(i)));
    await Promise.allSettled([this.leaf.fail(), call({ function: 'elsewhere', input: n })]);
    await sleep(20);
    return tailCall(this.end, before);
  }

  @DispatchFunction({ name: 'end' })
  async end(n: number): Promise<number> {
    return this.leaf.run(n);
  }
}

@Injectable()
class Elsewhere {
  constructor(private readonly leaf: Leaf) {}

  @DispatchFunction({ name: 'elsewhere' })
  async run(n: number): Promise<number> {
    return this.leaf.run(n);
  }
}

@Module({
  imports: [DispatchModule.forRoot({ scheduler: { store: new PostgresStore(url, { lease: Number(lease) }) } })],
  providers: role === 'other' ? [Leaf, Elsewhere] : [Leaf, Tree],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'fatal'] });
app.enableShutdownHooks();
const client = app.get(DispatchClient);
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [command = '', argument = '', key = '', n = ''] = line.split(' ');
  if (command === 'dispatch') {
    const options = argument === 'keyed' ? { key } : { idempotencyKey: `${argument} ${n}` };
    const id = await client.with(options).dispatch({ function: argument, input: Number(n) });
    console.log(`ack ${id}`);
  } else if (command === 'cancel') {
    await client.cancel(argument);
  } else {
    void client
      .wait(argument)
      .catch(() => undefined)
      .then(async () => console.log(`ended ${argument} ${(await client.get(argument))?.state}`));
  }
}
await app.close();
