import { NestFactory } from '@nestjs/core';
import { once } from 'node:events';
import { AppModule } from './app.module.js';

/** One of the processes that do the work, until the one that has started it ends it, or is no more. */
export async function runWorker(database: string): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule.on(database, { run: true }), {
    logger: ['error', 'fatal'],
  });
  if (process.connected) {
    process.send?.('at work');
    await once(process, 'disconnect');
  }
  await app.close();
}
