/**
 * An application of a fleet: `processes.app.ts <address of the store> <lease> <effects file> <here | away>`. It prints `ready`,
 * and does what its standard input says: `dispatch <n>` dispatches a parent (`ack <id>`), `wait <id>` prints `result <id>
 * <value>`, `race <key> <input> <time>` dispatches a call under the key at that time (`made <key> <id>` or `refused <key>
 * <error>`). Functions of processes that are `away` end once there is `go`, until there is `hold`. The effects file has a
 * line for each time that a function begins, and for each time that a parent goes on, with the process and the call.
 */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { call, currentCall, DispatchClient, DispatchFunction, DispatchModule } from '../../lib/index.js';
import { PostgresStore } from '../../lib/scheduler/index.js';

const [url = '', lease = '', effects = '', place = ''] = process.argv.slice(2);
const note = (what: string): void => appendFileSync(effects, `${what} ${process.pid} ${currentCall().id}\n`);

let go = (): void => undefined;
let held: Promise<void> | undefined;

@Injectable()
class Here {
  @DispatchFunction({ name: 'parent' })
  async parent(n: number): Promise<string> {
    note('begins');
    const first = await call<number>({ function: 'away', input: n });
    note('goes-on');
    return `${n}:${first}:${await call<number>({ function: 'away', input: n })}`;
  }

  @DispatchFunction({ name: 'once' })
  async once(input: string): Promise<string> {
    note('begins');
    return input;
  }
}

@Injectable()
class Away {
  @DispatchFunction({ name: 'away' })
  async away(n: number): Promise<number> {
    note('begins');
    await held;
    return n * 2;
  }
}

@Module({
  imports: [DispatchModule.forRoot({ scheduler: { store: new PostgresStore(url, { lease: Number(lease) }) } })],
  providers: [place === 'away' ? Away : Here],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'fatal'] });
app.enableShutdownHooks();
const client = app.get(DispatchClient);
console.log('ready');

/** What was not acknowledged, as the process was out of touch, is dispatched again: the key says that it is the same. */
async function dispatch(n: number): Promise<string> {
  for (;;) {
    try {
      return await client.with({ idempotencyKey: `parent ${n}` }).dispatch({ function: 'parent', input: n });
    } catch {
      await delay(50);
    }
  }
}

async function race(key: string, input: string, time: number): Promise<string> {
  await delay(Math.max(0, time - Date.now()));
  try {
    return `made ${key} ${await client.with({ idempotencyKey: key }).dispatch({ function: 'once', input })}`;
  } catch (error) {
    return `refused ${key} ${(error as Error).name}`;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command = '', argument = '', input = '', time = ''] = line.split(' ');
  if (command === 'hold') {
    held = new Promise((resolve) => (go = resolve));
    console.log('held');
  } else if (command === 'go') {
    go();
  } else if (command === 'dispatch') {
    console.log(`ack ${await dispatch(Number(argument))}`);
  } else if (command === 'race') {
    void race(argument, input, Number(time)).then((outcome) => console.log(outcome));
  } else {
    void client.wait<string>(argument).then((value) => console.log(`result ${argument} ${value}`));
  }
}
await app.close();
