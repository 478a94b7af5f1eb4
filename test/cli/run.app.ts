/** An application for `run`: `run.app.ts <task>`. */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DispatchClient, DispatchFunction, DispatchModule, gather } from '../../lib/index.js';

@Injectable()
class Sums {
  @DispatchFunction()
  async next(n: number): Promise<number> {
    return n + 1;
  }

  @DispatchFunction()
  async all(numbers: number[]): Promise<number[]> {
    return gather(numbers.map((n) => this.next(n)));
  }
}

@Module({ imports: [DispatchModule.forRoot()], providers: [Sums] })
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['fatal'] });
app.enableShutdownHooks();
const client = app.get(DispatchClient);
const sums = app.get(Sums);
switch (process.argv[2]) {
  case 'sum':
    console.log(`result ${JSON.stringify(await client.call(sums.all, [1, 2, 3]))}`);
    await app.close();
    process.exitCode = 7;
    break;
  case 'leave':
    // Called and left alone: it is not due before this process has ended.
    console.log(`left ${await client.with({ delay: '1s' }).dispatch(sums.next, 41)}`);
    await app.close();
    break;
  case 'find':
    console.log(`found ${await client.wait<number>(process.argv[3] ?? '')}`);
    await app.close();
    break;
  default:
    console.log('waiting');
    setInterval(() => undefined, 1_000);
}
