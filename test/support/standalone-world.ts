import { type INestApplication, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { DispatchClient, DispatchModule, type DispatchModuleOptions } from '../../lib/index.js';
import { StandaloneScheduler, type StandaloneOptions } from '../../lib/standalone/index.js';
import { freePort } from './free-port.js';

export interface RunningApplication {
  readonly app: INestApplication;
  readonly client: DispatchClient;
  readonly url: string;
}

/** A standalone scheduler, and applications that use it, over real HTTP. `end` stops what was started. */
export class StandaloneWorld {
  /** What the schedulers have logged. */
  readonly lines: string[] = [];
  private readonly cleanups: (() => Promise<unknown>)[] = [];

  async scheduler(options: Partial<StandaloneOptions> = {}): Promise<StandaloneScheduler> {
    const write = (line: string): void => void this.lines.push(line);
    const log = { log: write, warn: write, error: write };
    const scheduler = new StandaloneScheduler({ store: 'memory:', port: 0, dev: true, log, ...options });
    await scheduler.start();
    this.cleanups.push(() => scheduler.stop(1_000));
    return scheduler;
  }

  async application(provider: Type<unknown>, options: DispatchModuleOptions): Promise<RunningApplication> {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const module = await Test.createTestingModule({
      imports: [DispatchModule.forRoot({ endpointUrl: url, ...options })],
      providers: [provider],
    }).compile();
    const app = module.createNestApplication({ logger: ['fatal'] });
    await app.listen(port, '127.0.0.1');
    this.cleanups.push(() => app.close());
    return { app, client: app.get(DispatchClient), url };
  }

  async end(): Promise<void> {
    for (const cleanup of this.cleanups.splice(0).reverse()) await cleanup();
    this.lines.length = 0;
  }
}
