/** An application that is run in a terminal: `terminal.app.ts <task> <file>`. Its calls end when the file is there. */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { DispatchClient, DispatchFunction, DispatchModule, gather } from '../../lib/index.js';

const [task = '', file = ''] = process.argv.slice(2);

@Injectable()
class Trips {
  @DispatchFunction({ name: 'trip' })
  async all(legs: number): Promise<number[]> {
    return gather(Array.from({ length: legs }, (_, n) => this.leg(n)));
  }

  @DispatchFunction({ name: 'leg' })
  async leg(n: number): Promise<number> {
    console.log(`leg ${n} begins`);
    while (!existsSync(file)) await delay(20);
    return n;
  }
}

@Module({ imports: [DispatchModule.forRoot()], providers: [Trips] })
class AppModule {}

console.log(`FORCE_COLOR is ${process.env['FORCE_COLOR'] ?? 'not set'}`);
if (task === 'trip') {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['fatal'] });
  const legs = await app.get(DispatchClient).call(app.get(Trips).all, 3);
  console.log(`arrived ${JSON.stringify(legs)}`);
  await app.close();
  process.exitCode = 7;
} else {
  let interrupts = 0;
  process.on('SIGINT', () => {
    console.log(`interrupted ${++interrupts}`);
    // Long enough for a second one to come, if there is one.
    setTimeout(() => process.exit(3), 500);
  });
  process.stdout.write('ready? ');
  setInterval(() => undefined, 1_000);
}
