/**
 * An application on a store that another process may have: `owner.app.ts <store>`. Prints `starting`, then `started`, or
 * `failed <error>` and ends with 1. For each line that it reads, a call's id, it prints `result <value>`.
 */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createInterface } from 'node:readline';
import { DispatchClient, DispatchFunction, DispatchModule } from '../../lib/index.js';

const [store = ''] = process.argv.slice(2);

@Injectable()
class Work {
  @DispatchFunction()
  async echo(value: unknown): Promise<unknown> {
    return value;
  }
}

@Module({ imports: [DispatchModule.forRoot({ scheduler: { store } })], providers: [Work] })
class AppModule {}

console.log('starting');
try {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });
  console.log('started');
  for await (const id of createInterface({ input: process.stdin })) {
    console.log(`result ${String(await app.get(DispatchClient).wait(id))}`);
  }
} catch (error) {
  console.log(`failed ${(error as Error).name} ${(error as Error).message}`);
  process.exit(1);
}
