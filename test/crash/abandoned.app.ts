/**
 * An application whose code leaves rejections that nobody handles: `abandoned.app.ts <what>`. Prints `result <value>` of
 * a durable function that left them, and `alive` once they have been there and gone.
 */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { setTimeout as delay } from 'node:timers/promises';
import {
  currentCall,
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  PermanentError,
  race,
  sleep,
  step,
} from '../../lib/index.js';

const [what = ''] = process.argv.slice(2);

@Injectable()
class Leaf {
  @DispatchFunction()
  async fail(): Promise<never> {
    throw new PermanentError('the leaf failed');
  }
  @DispatchFunction()
  async echo(value: string): Promise<string> {
    return value;
  }
}

let letLosersFail = (): void => undefined;
const raceIsOver = new Promise<void>((resolve) => (letLosersFail = resolve));

@Injectable()
class Branches {
  constructor(private readonly leaf: Leaf) {}

  /** A branch ends with the failure of a durable call. */
  @DispatchFunction()
  async call(): Promise<string> {
    void this.callAndFail();
    await sleep(20);
    return this.leaf.echo('call');
  }
  /** A branch ends with the failure of a step. */
  @DispatchFunction()
  async step(): Promise<string> {
    void this.stepAndFail();
    await sleep(20);
    return this.leaf.echo('step');
  }
  /** Plain code of its own fails, in it and in one of its steps. */
  @DispatchFunction()
  async plain(): Promise<string> {
    void this.failLater();
    void Promise.reject(new Error('at once'));
    await step(() => void this.failLater());
    await sleep(20);
    return this.leaf.echo('plain');
  }
  /** The loser of a race fails. */
  @DispatchFunction()
  async race(): Promise<string> {
    return race([this.leaf.echo('race'), this.lose()]);
  }
  /** A branch fails when the function has ended. */
  @DispatchFunction()
  async late(): Promise<string> {
    void this.failLater();
    return 'late';
  }
  /** What listens to the end of the run fails when the application ends. */
  @DispatchFunction()
  async abort(): Promise<string> {
    const { signal } = currentCall();
    void new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    void this.failOnAbort(signal);
    void this.failLongAfterAbort(signal);
    await this.leaf.echo('begun');
    await sleep('1h');
    return 'abort';
  }

  private async callAndFail(): Promise<void> {
    await this.leaf.fail();
  }
  private async stepAndFail(): Promise<void> {
    await step(() => Promise.reject(new PermanentError('the step failed')));
  }
  private async failLater(): Promise<void> {
    await delay(5);
    throw new Error('later');
  }
  private async lose(): Promise<never> {
    await raceIsOver;
    throw new Error('too late');
  }
  private async failOnAbort(signal: AbortSignal): Promise<void> {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    throw new Error('aborted');
  }
  private async failLongAfterAbort(signal: AbortSignal): Promise<void> {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    await delay(20);
    throw new Error('long after the abort');
  }
}

@Module({ imports: [DispatchModule.forRoot({ scheduler: { store: 'memory:' } })], providers: [Leaf, Branches] })
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'fatal'] });
const client = app.get(DispatchClient);
const branches = client.of(app.get(Branches));
switch (what) {
  case 'call':
  case 'step':
  case 'plain':
  case 'race':
  case 'late':
    console.log(`result ${await branches[what]().result()}`);
    break;
  case 'abort': {
    const id = await branches.abort().dispatch();
    while ((await client.get(id))?.waitsFor !== 'time') await delay(2);
    await app.close();
    console.log('result closed');
    break;
  }
  case 'stray':
    await branches.race().result();
    void Promise.reject(new Error('not of a durable function'));
    break;
  case 'closed':
    await branches.race().result();
    await app.close();
    void Promise.reject(new Error('not of a durable function'));
    break;
  case 'handled':
    process.on('unhandledRejection', (reason) => console.log(`result ${(reason as Error).message}`));
    void Promise.reject(new Error('the application sees to it'));
    break;
}
letLosersFail();
await delay(200);
console.log('alive');
await app.close();
