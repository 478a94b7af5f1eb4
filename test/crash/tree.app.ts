/**
 * An application that is killed: `tree.app.ts <store> <effects file> <first root> <roots>`. It dispatches roots of three
 * levels of calls, prints `ack <n> <id>` for each, and, until its standard input ends, `result <id> <value>` for each
 * id that it is given there.
 */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { currentCall, DispatchClient, DispatchFunction, DispatchModule, gather, sleep } from '../../lib/index.js';

const [store = '', effects = '', first = '0', count = '0'] = process.argv.slice(2);
const BRANCHES = 4;
const LEAVES = 4;

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
class Branch {
  constructor(private readonly leaf: Leaf) {}

  @DispatchFunction({ name: 'branch' })
  async run(n: number): Promise<number> {
    await sleep(200 + n * 1000);
    const first = await gather(Array.from({ length: LEAVES }, (_, i) => this.leaf.run(n * 100 + i)));
    const last = await this.leaf.run(n * 100 + LEAVES);
    return first.reduce((sum, value) => sum + value, last);
  }
}

@Injectable()
class Root {
  constructor(private readonly branch: Branch) {}

  @DispatchFunction({ name: 'root' })
  async run(n: number): Promise<string> {
    const sums = await Promise.all(Array.from({ length: BRANCHES }, (_, i) => this.branch.run(i)));
    return `${n}:${sums.join(',')}`;
  }
}

@Module({
  imports: [DispatchModule.forRoot({ scheduler: { store } })],
  providers: [Leaf, Branch, Root],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'fatal'] });
const client = app.get(DispatchClient);
const root = app.get(Root);
console.log('ready');
for (let n = Number(first); n < Number(first) + Number(count); n++) {
  // A dispatch whose answer got lost is made again: the key says that it is the same.
  const id = await client
    .with({ idempotencyKey: `root ${n}` })
    .of(root)
    .run(n)
    .dispatch();
  console.log(`ack ${n} ${id}`);
}
console.log('dispatched');
for await (const id of createInterface({ input: process.stdin })) {
  console.log(`result ${id} ${await client.wait<string>(id)}`);
}
await app.close();
