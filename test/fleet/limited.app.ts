/**
 * An application of a fleet with a function of which two runs may be in flight: `limited.app.ts <address of the store> <lease>
 * <effects file>`. It prints `ready`; `run <count>` on its standard input dispatches so many calls, prints `dispatched`, and
 * `done` once all have ended; `hold` keeps runs from ending until there is `go`. The effects file has a line for the begin and the end of each run, with a name of its own.
 */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { DispatchClient, DispatchFunction, DispatchModule } from '../../lib/index.js';
import { PostgresStore } from '../../lib/scheduler/index.js';

const [url = '', lease = '', effects = ''] = process.argv.slice(2);

let held: Promise<void> | undefined;
let go = (): void => undefined;

@Injectable()
class Limited {
  @DispatchFunction({ name: 'limited', concurrency: 2 })
  async run(): Promise<void> {
    const run = `${process.pid} ${randomUUID()}`;
    appendFileSync(effects, `begin ${run}\n`);
    await delay(20);
    await held;
    appendFileSync(effects, `end ${run}\n`);
  }
}

@Module({
  imports: [DispatchModule.forRoot({ scheduler: { store: new PostgresStore(url, { lease: Number(lease) }) } })],
  providers: [Limited],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['warn', 'error', 'fatal'] });
const client = app.get(DispatchClient);
const limited = app.get(Limited);
console.log('ready');

for await (const line of createInterface({ input: process.stdin })) {
  const [command, count] = line.split(' ');
  if (command === 'hold') held = new Promise((resolve) => (go = resolve));
  if (command === 'go') go();
  if (command !== 'run') continue;
  const batch = client.batch();
  for (let n = 0; n < Number(count); n++) batch.add(limited.run);
  const ids = await batch.dispatch();
  console.log('dispatched');
  void Promise.all(ids.map((id) => client.wait(id))).then(() => console.log('done'));
}
await app.close();
