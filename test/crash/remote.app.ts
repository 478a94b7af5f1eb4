/**
 * An application that uses a scheduler elsewhere: `remote.app.ts <port> <scheduler> <effects file> <roots>`. It dispatches
 * as many roots, each under a key of its own, so that a restart finds them again. Prints `ack <n> <id>` for each, and
 * `result <n> <value>` when it has ended.
 */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { DispatchClient, DispatchFunction, DispatchModule, gather, step, TemporaryError } from '../../lib/index.js';

const [port = '', apiUrl = '', effects = '', roots = '0'] = process.argv.slice(2);

@Injectable()
class Tree {
  private attempts = 0;

  @DispatchFunction({ name: 'leaf' })
  async leaf(root: number, n: number): Promise<number> {
    this.attempts += 1;
    if (this.attempts % 5 === 0) throw new TemporaryError('now and then');
    appendFileSync(effects, `${root} ${n}\n`);
    await delay(5);
    return n;
  }

  @DispatchFunction({ name: 'root' })
  async root(root: number): Promise<number> {
    const first = await gather([1, 2, 3].map((n) => this.leaf(root, n)));
    const drawn = await step(() => root * 1_000);
    const second = await this.leaf(
      root,
      first.reduce((a, b) => a + b, 0),
    );
    return drawn + second;
  }
}

const endpointUrl = `http://127.0.0.1:${port}`;

@Module({ imports: [DispatchModule.forRoot({ apiUrl, endpointUrl })], providers: [Tree] })
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['fatal'] });
await app.listen(Number(port), '127.0.0.1');
console.log('ready');
const client = app.get(DispatchClient);
const tree = app.get(Tree);

/** The key makes it one call, however often it is sent. */
async function dispatch(n: number): Promise<string> {
  for (;;) {
    try {
      return await client.with({ idempotencyKey: `root ${n}` }).dispatch(tree.root, n);
    } catch {
      await delay(50);
    }
  }
}

await Promise.all(
  Array.from({ length: Number(roots) }, async (_, n) => {
    const id = await dispatch(n);
    console.log(`ack ${n} ${id}`);
    console.log(`result ${n} ${await client.wait<number>(id)}`);
  }),
);
console.log('done');
await app.close();
