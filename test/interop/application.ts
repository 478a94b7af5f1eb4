import { Injectable, type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  currentCall,
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  gather,
  sleep,
  step,
  tailCall,
  TemporaryError,
  type DispatchModuleOptions,
} from '../../lib/index.js';
import { freePort } from '../support/free-port.js';

/** Our functions. */
@Injectable()
export class Maths {
  readonly attempts = new Map<string, number>();

  @DispatchFunction()
  async double(value: number): Promise<number> {
    return value * 2;
  }

  @DispatchFunction()
  async sum(values: number[], factor: number): Promise<number> {
    const doubled = await gather(values.map((value) => this.double(value)));
    return factor * doubled.reduce((a, b) => a + b, 0);
  }

  @DispatchFunction()
  async quadruple(value: number): Promise<number> {
    return this.double(await this.double(value));
  }

  @DispatchFunction()
  async octuple(value: number): Promise<number> {
    return this.double(await this.quadruple(value));
  }

  @DispatchFunction()
  async fail(message: string): Promise<never> {
    throw new RangeError(message);
  }

  @DispatchFunction()
  async failNested(message: string): Promise<unknown> {
    return this.fail(message);
  }

  @DispatchFunction()
  async catchNested(message: string): Promise<string> {
    try {
      return await this.fail(message);
    } catch (error) {
      return `${(error as Error).name} ${(error as Error).message}`;
    }
  }

  @DispatchFunction()
  async flaky(key: string): Promise<number> {
    const attempt = (this.attempts.get(key) ?? 0) + 1;
    this.attempts.set(key, attempt);
    if (attempt < 3) throw new TemporaryError('not yet');
    return attempt;
  }

  @DispatchFunction()
  async flakyNested(key: string): Promise<number[]> {
    const attempt = await this.flaky(key);
    return [attempt, await this.flaky(`${key} parent`)];
  }

  @DispatchFunction()
  async steps(key: string): Promise<number[]> {
    const count = () =>
      step(async () => {
        const calls = (this.attempts.get(key) ?? 0) + 1;
        this.attempts.set(key, calls);
        return calls;
      });
    return [await count(), await this.double(21), await count()];
  }

  @DispatchFunction()
  async rest(duration: number): Promise<number> {
    const start = Date.now();
    await sleep(duration);
    return Date.now() - start;
  }

  @DispatchFunction()
  async countDown(from: number): Promise<string> {
    if (from > 0) return tailCall(this.countDown, from - 1);
    return 'zero';
  }

  @DispatchFunction()
  async ids(): Promise<string[]> {
    const { id, rootId } = currentCall();
    return [id, rootId ?? ''];
  }
}

export interface Application {
  readonly app: INestApplication;
  readonly client: DispatchClient;
  readonly maths: Maths;
  /** Where its endpoint is. */
  readonly url: string;
}

/** A Nest application on a port of its own. */
export async function startApplication(options: DispatchModuleOptions, given?: number): Promise<Application> {
  const port = given ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const module = await Test.createTestingModule({
    imports: [DispatchModule.forRoot({ endpointUrl: url, ...options })],
    providers: [Maths],
  }).compile();
  const app = module.createNestApplication({ logger: ['error'] });
  await app.listen(port, '127.0.0.1');
  return { app, client: app.get(DispatchClient), maths: app.get(Maths), url };
}
