/**
 * A process of the fleet: `application.ts <address of the store> <lease> <seed> <schema of the record>`. It prints `ready`,
 * and does what its standard input says: `dispatch <root>` (`acknowledged <root> <id>`), `wait <id>` (`result <id> <JSON>`),
 * until that ends. It prints `refused` for each commit that its store refuses because others have its calls.
 */
import { ConsoleLogger, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import {
  currentCall,
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  gather,
  PermanentError,
  sleep,
  step,
  TemporaryError,
} from '../../lib/index.js';
import { PostgresStore, StoreOwnershipLostError, type Mutation } from '../../lib/scheduler/index.js';
import { Effects } from './effects.js';
import { treeOf, type Tree } from './trees.js';

const [url = '', lease = '', seed = '', record = ''] = process.argv.slice(2);
const effects = new Effects(url, record);

/** What a call returns: the total, and what its caller had handed to it. */
interface Sum {
  readonly total: number;
  readonly token: string;
}

@Injectable()
class Leaves {
  @DispatchFunction({ name: 'leaf', retry: { initial: 20, max: 500 } })
  async run({ kind, value, pause, path }: Tree, token: string): Promise<Sum> {
    const { id, attempt } = currentCall();
    await effects.add(id, attempt, path);
    await delay(pause);
    if (kind === 'failsAlways') throw new PermanentError(path);
    if (kind === 'failsFirst' && attempt === 1) throw new TemporaryError(path);
    return { total: value, token };
  }
}

@Injectable()
class Sums {
  constructor(private readonly leaves: Leaves) {}

  @DispatchFunction({ name: 'sum' })
  async run(tree: Tree, token: string): Promise<Sum> {
    const { id, attempt } = currentCall();
    let { value: total } = tree;
    // Another value each time that it runs: whoever goes on with the call has to have the one that was recorded.
    const own = await step(async () => {
      await effects.add(id, attempt, tree.path);
      return randomUUID();
    });
    for (const [index, round] of tree.rounds.entries()) {
      if (index > 0) await sleep(tree.pause);
      const sums = await gather(round.map((child) => this.add(child, own)));
      for (const sum of sums) total += sum;
    }
    return { total, token };
  }

  private async add(child: Tree, own: string): Promise<number> {
    try {
      const { total, token } = await (child.kind === 'sum' ? this.run(child, own) : this.leaves.run(child, own));
      if (token !== own) throw new PermanentError(`${child.path} was called with ${own} and answered ${token}`);
      return total;
    } catch (error) {
      if (child.kind === 'failsAlways' && error instanceof PermanentError && error.message === child.path) return 0;
      throw error;
    }
  }
}

/** Says how often it refuses what a process writes that counts as dead. */
class CountingStore extends PostgresStore {
  override async commit(mutations: readonly Mutation[]): Promise<void> {
    try {
      await super.commit(mutations);
    } catch (error) {
      if (error instanceof StoreOwnershipLostError) console.log('refused');
      throw error;
    }
  }
}

@Module({
  imports: [DispatchModule.forRoot({ scheduler: { store: new CountingStore(url, { lease: Number(lease) }) } })],
  providers: [Leaves, Sums],
})
class AppModule {}

const logger = new ConsoleLogger({ colors: false, logLevels: ['warn', 'error', 'fatal'] });
const app = await NestFactory.createApplicationContext(AppModule, { logger });
const client = app.get(DispatchClient);
const sums = app.get(Sums);
console.log('ready');

for await (const line of createInterface({ input: process.stdin })) {
  const [command = '', argument = ''] = line.split(' ');
  if (command === 'dispatch') void dispatch(Number(argument));
  else void wait(argument);
}
await app.close();
await effects.close();

/** One whose answer was lost is made again: the key says that it is the same. */
async function dispatch(root: number): Promise<void> {
  const call = client
    .with({ idempotencyKey: `root ${root}` })
    .of(sums)
    .run(treeOf(Number(seed), root), String(root));
  for (;;) {
    try {
      const id = await call.dispatch();
      return console.log(`acknowledged ${root} ${id}`);
    } catch {
      await delay(50);
    }
  }
}

/** Asks again while there is no answer; that the call has failed is one. */
async function wait(id: string): Promise<void> {
  for (;;) {
    try {
      return console.log(`result ${id} ${JSON.stringify(await client.wait(id))}`);
    } catch (error) {
      const call = await client.get(id).catch(() => undefined);
      if (call?.state === 'failed') return console.log(`result ${id} ${JSON.stringify(String(error))}`);
      await delay(50);
    }
  }
}
