/**
 * An application with one long function: `long.app.ts <store> <effects file> <sequence | fan | nap> <size>`. The same
 * function is dispatched at every start, under one key: a restart goes on with it. Prints `result <value>`.
 */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { currentCall, DispatchClient, DispatchFunction, DispatchModule, gather, sleep } from '../../lib/index.js';

const [store = '', effects = '', task = 'sequence', size = '0'] = process.argv.slice(2);

@Injectable()
class Unit {
  @DispatchFunction({ name: 'unit' })
  async run(n: number): Promise<number> {
    appendFileSync(effects, `${n}\n`);
    return n;
  }
}

@Injectable()
class Long {
  constructor(private readonly unit: Unit) {}

  @DispatchFunction({ name: 'sequence' })
  async sequence(steps: number): Promise<number> {
    let sum = 0;
    for (let n = 0; n < steps; n++) sum += await this.unit.run(n);
    return sum;
  }
  @DispatchFunction({ name: 'fan' })
  async fan(width: number): Promise<number> {
    const results = await gather(Array.from({ length: width }, (_, n) => this.unit.run(n)));
    return results.reduce((sum, n) => sum + n, 0);
  }
  /** How late it wakes, and how late a plain timer for the same moment is; milliseconds. */
  @DispatchFunction({ name: 'nap' })
  async nap(ms: number): Promise<string> {
    const due = (currentCall().creationTime?.getTime() ?? 0) + ms;
    const plain = delay(Math.max(0, due - Date.now())).then(() => Date.now() - due);
    await sleep(ms);
    const late = Date.now() - due;
    return `${late} ${await plain}`;
  }
}

@Module({ imports: [DispatchModule.forRoot({ scheduler: { store } })], providers: [Unit, Long] })
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'fatal'] });
const client = app.get(DispatchClient);
const calls = client.with({ idempotencyKey: task }).of(app.get(Long));
const id = await { sequence: calls.sequence, fan: calls.fan, nap: calls.nap }
  [task as 'sequence'](Number(size))
  .dispatch();
console.log(`dispatched ${id}`);
const before = process.cpuUsage();
const result = await client.wait<number | string>(id);
const { user, system } = process.cpuUsage(before);
console.log(`cpu ${Math.round((user + system) / 1000)}`);
console.log(`result ${result}`);
await app.close();
await app.close();
