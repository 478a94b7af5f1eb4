/**
 * One of two applications that call each other's functions: `crossing.app.ts <left | right> <address of the store> <lease>`. It
 * prints `ready`, and does what its standard input says: `dispatch <n>` dispatches a root, which is a function of the left
 * one (`ack <n> <id>`), and `wait <id>` prints `result <id> <value>`.
 */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { call, DispatchClient, DispatchFunction, DispatchModule } from '../../lib/index.js';
import { PostgresStore } from '../../lib/scheduler/index.js';

const [side = '', url = '', lease = ''] = process.argv.slice(2);
const LEVELS = 4;

/** Counts the leaves below a call: each that is none calls both applications. */
async function leavesBelow(level: number): Promise<number> {
  if (level === 0) {
    await delay(Math.random() * 20);
    return 1;
  }
  const both = ['left', 'right'].map((name) => call<number>({ function: name, input: level - 1 }));
  const [left = 0, right = 0] = await Promise.all(both);
  return left + right;
}

@Injectable()
class Left {
  @DispatchFunction({ name: 'root' })
  async root(n: number): Promise<string> {
    return `${n}:${await leavesBelow(LEVELS)}`;
  }

  @DispatchFunction({ name: 'left' })
  async left(level: number): Promise<number> {
    return leavesBelow(level);
  }
}

@Injectable()
class Right {
  @DispatchFunction({ name: 'right' })
  async right(level: number): Promise<number> {
    return leavesBelow(level);
  }
}

@Module({
  imports: [DispatchModule.forRoot({ scheduler: { store: new PostgresStore(url, { lease: Number(lease) }) } })],
  providers: [side === 'left' ? Left : Right],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'fatal'] });
const client = app.get(DispatchClient);
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [command = '', argument = ''] = line.split(' ');
  if (command === 'dispatch') {
    const id = await client.of(app.get(Left)).root(Number(argument)).dispatch();
    console.log(`ack ${argument} ${id}`);
  } else {
    void client.wait<string>(argument).then((value) => console.log(`result ${argument} ${value}`));
  }
}
await app.close();
