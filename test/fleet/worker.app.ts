/**
 * An application of a fleet: `worker.app.ts <address of the store> <lease> <effects file>`. It prints `ready`, and does what
 * its standard input says: `dispatch <n>` dispatches a root (`ack <n> <id>`), `wait <id>` prints `result <id> <value>`.
 */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { currentCall, DispatchClient, DispatchFunction, DispatchModule, gather, sleep } from '../../lib/index.js';
import { PostgresStore } from '../../lib/scheduler/index.js';

const [url = '', lease = '', effects = ''] = process.argv.slice(2);

@Injectable()
class Leaf {
  @DispatchFunction({ name: 'leaf' })
  async run(n: number): Promise<number> {
    await delay(Math.random() * 20);
    appendFileSync(effects, `${currentCall().id}\n`);
    return n;
  }
}

@Injectable()
class Root {
  constructor(private readonly leaf: Leaf) {}

  @DispatchFunction({ name: 'root' })
  async run(n: number): Promise<string> {
    let sum = 0;
    for (let round = 0; round < 3; round++) {
      const leaves = await gather(Array.from({ length: 4 }, (_, i) => this.leaf.run(round * 4 + i)));
      sum = leaves.reduce((total, leaf) => total + leaf, sum);
      await sleep(100);
    }
    return `${n}:${sum}`;
  }
}

@Module({
  imports: [DispatchModule.forRoot({ scheduler: { store: new PostgresStore(url, { lease: Number(lease) }) } })],
  providers: [Leaf, Root],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['warn', 'error', 'fatal'] });
const client = app.get(DispatchClient);
const root = app.get(Root);
console.log('ready');

/** What has no answer because the store is not there is asked again: the key says that it is the same. */
async function persist<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch {
      await delay(50);
    }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command = '', argument = ''] = line.split(' ');
  if (command === 'dispatch') {
    const call = client.with({ idempotencyKey: `root ${argument}` }).of(root);
    void persist(() => call.run(Number(argument)).dispatch()).then((id) => console.log(`ack ${argument} ${id}`));
  } else {
    void persist(() => client.wait<string>(argument)).then((value) => console.log(`result ${argument} ${value}`));
  }
}
await app.close();
