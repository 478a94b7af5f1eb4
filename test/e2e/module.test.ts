import { AsyncLocalStorage } from 'node:async_hooks';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  Inject,
  Injectable,
  Logger,
  Module,
  Scope,
  type INestApplicationContext,
  type ModuleMetadata,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  ConfigurationError,
  currentCall,
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  DispatchRegistry,
  sleep,
  type DispatchModuleOptions,
  type DispatchOptionsFactory,
} from '../../lib/index.js';

@Injectable()
class Greeter {
  @DispatchFunction()
  async greet(name: string): Promise<string> {
    return `hello ${name}`;
  }
}

const apps: INestApplicationContext[] = [];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dispatch-'));
});

afterEach(async () => {
  jest.restoreAllMocks();
  for (const app of apps.splice(0)) await app.close();
  rmSync(folder, { recursive: true, force: true });
});

async function start(metadata: ModuleMetadata): Promise<INestApplicationContext> {
  const module = await Test.createTestingModule(metadata).compile();
  apps.push(module);
  return module.init();
}

const greets = async (app: INestApplicationContext): Promise<void> => {
  await expect(app.get(DispatchClient).call(app.get(Greeter).greet, 'you')).resolves.toBe('hello you');
};

@Injectable()
class Settings implements DispatchOptionsFactory {
  createDispatchOptions(): DispatchModuleOptions {
    return { outside: 'error' };
  }
}

@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}

describe('DispatchModule', () => {
  it.each<[string, Parameters<typeof DispatchModule.forRootAsync>[0]]>([
    [
      'useFactory',
      {
        imports: [SettingsModule],
        inject: [Settings],
        useFactory: async (made: Settings) => made.createDispatchOptions(),
      },
    ],
    ['useClass', { useClass: Settings }],
    ['useExisting', { imports: [SettingsModule], useExisting: Settings }],
  ])('takes options of %s', async (_way, options) => {
    const app = await start({ imports: [DispatchModule.forRootAsync(options)], providers: [Greeter] });
    await greets(app);
    await expect(app.get(Greeter).greet('you')).rejects.toThrow("outside: 'error'");
  });

  it('refuses none or several ways to make options', () => {
    expect(() => DispatchModule.forRootAsync({})).toThrow(ConfigurationError);
    expect(() => DispatchModule.forRootAsync({ useClass: Settings, useFactory: () => ({}) })).toThrow('exactly one');
  });

  it('refuses bad options that a factory made', async () => {
    const useFactory = (): DispatchModuleOptions => ({ scheduler: { concurrency: -1 } });
    await expect(start({ imports: [DispatchModule.forRootAsync({ useFactory })] })).rejects.toThrow(
      'scheduler.concurrency',
    );
  });

  it('refuses a second forRoot', async () => {
    @Module({ imports: [DispatchModule.forRoot()] })
    class FeatureModule {}
    await expect(start({ imports: [DispatchModule.forRoot(), FeatureModule] })).rejects.toThrow('imported 2 times');
  });

  it('refuses to be imported without forRoot', async () => {
    await expect(start({ imports: [DispatchModule] })).rejects.toThrow('DispatchModule.forRoot()');
  });

  it('is for all modules, or for those that import it', async () => {
    @Injectable()
    class Caller {
      constructor(readonly client: DispatchClient) {}
    }
    @Module({ providers: [Caller] })
    class FeatureModule {}
    const app = await start({ imports: [DispatchModule.forRoot(), FeatureModule] });
    expect(app.get(Caller).client).toBeInstanceOf(DispatchClient);
    await expect(start({ imports: [DispatchModule.forRoot({ isGlobal: false }), FeatureModule] })).rejects.toThrow(
      'Caller',
    );
    const near = await start({ imports: [DispatchModule.forRoot({ isGlobal: false })], providers: [Caller] });
    expect(near.get(Caller).client).toBeInstanceOf(DispatchClient);
  });

  it('works in an application without HTTP', async () => {
    class AppModule {}
    const app = await NestFactory.createApplicationContext(
      { module: AppModule, imports: [DispatchModule.forRoot()], providers: [Greeter] },
      { logger: false },
    );
    apps.push(app);
    await greets(app);
  });

  it('serves two applications in one process, each with its own calls', async () => {
    const metadata = (): ModuleMetadata => ({ imports: [DispatchModule.forRoot()], providers: [Greeter] });
    const [one, two] = [await start(metadata()), await start(metadata())];
    await greets(one);
    await greets(two);
    const id = await one.get(DispatchClient).dispatch({ function: 'Greeter.greet', input: 'x' });
    await expect(two.get(DispatchClient).get(id)).resolves.toBeUndefined();
    await one.close();
    await greets(two);
  });

  it('runs nothing before the application is up, and takes calls of bootstrap hooks', async () => {
    const order: string[] = [];
    @Injectable()
    class Starter implements OnApplicationBootstrap {
      id = '';
      constructor(private readonly client: DispatchClient) {}

      @DispatchFunction()
      async work(): Promise<void> {
        order.push('run');
      }
      async onModuleInit(): Promise<void> {
        await expect(this.client.dispatch(this.work)).rejects.toThrow('has not started yet');
        order.push('init');
      }
      async onApplicationBootstrap(): Promise<void> {
        this.id = await this.client.dispatch(this.work);
      }
    }
    const app = await start({ imports: [DispatchModule.forRoot()], providers: [Starter] });
    await app.get(DispatchClient).wait(app.get(Starter).id);
    expect(order).toEqual(['init', 'run']);
  });

  it('says in one line what it started with', async () => {
    const log = jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    await start({ imports: [DispatchModule.forRoot()], providers: [Greeter] });
    const lines = log.mock.calls.map(([message]) => String(message)).filter((line) => line.startsWith('Started with'));
    expect(lines).toEqual([
      'Started with the embedded scheduler, store memory: (the default); endpoint closed; 1 function: Greeter.greet',
    ]);
  });

  it('tells how to reach a store that there is not', async () => {
    await expect(start({ imports: [DispatchModule.forRoot({ scheduler: { store: 'redis://x' } })] })).rejects.toThrow(
      'DISPATCH_STORE',
    );
  });

  it('says that it has no scheduler when someone dispatches without one', async () => {
    const app = await start({ imports: [DispatchModule.forRoot({ scheduler: false })], providers: [Greeter] });
    await expect(app.get(DispatchClient).dispatch({ function: 'Greeter.greet' })).rejects.toThrow('scheduler is false');
    expect(app.get(DispatchRegistry).list()).toHaveLength(1);
  });
});

describe('the end of an application', () => {
  it('waits for functions that are running', async () => {
    const started = resolvers();
    const release = resolvers();
    let ended = false;
    @Injectable()
    class Slow {
      @DispatchFunction()
      async run(): Promise<void> {
        started.resolve();
        await release.promise;
        ended = true;
      }
    }
    const app = await start({ imports: [DispatchModule.forRoot()], providers: [Slow] });
    await app.get(DispatchClient).dispatch(app.get(Slow).run);
    await started.promise;
    const closed = app.close();
    release.resolve();
    await closed;
    expect(ended).toBe(true);
  });

  it('leaves what takes longer than the grace to the next start', async () => {
    const store = join(folder, 'calls.db');
    const runs: string[] = [];
    const started = resolvers();
    @Injectable()
    class Slow {
      @DispatchFunction()
      async run(value: string): Promise<string> {
        runs.push(value);
        if (runs.length > 1) return `${value} at last`;
        const { signal } = currentCall();
        started.resolve();
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
        return 'never';
      }
    }
    const metadata = (): ModuleMetadata => ({
      imports: [DispatchModule.forRoot({ scheduler: { store, shutdownGrace: 1 } })],
      providers: [Slow],
    });
    const first = await start(metadata());
    const id = await first.get(DispatchClient).dispatch(first.get(Slow).run, 'done');
    await started.promise;
    await first.close();
    const second = await start(metadata());
    await expect(second.get(DispatchClient).wait(id)).resolves.toBe('done at last');
  });

  it('goes on after a restart with what was suspended', async () => {
    const store = join(folder, 'calls.db');
    let effects = 0;
    @Injectable()
    class Steps {
      @DispatchFunction()
      async effect(): Promise<number> {
        return ++effects;
      }
      @DispatchFunction()
      async run(): Promise<number> {
        const count = await this.effect();
        await sleep('1d');
        return count;
      }
    }
    const metadata = (): ModuleMetadata => ({
      imports: [DispatchModule.forRoot({ scheduler: { store } })],
      providers: [Steps],
    });
    const first = await start(metadata());
    const client = first.get(DispatchClient);
    const id = await client.dispatch(first.get(Steps).run);
    await untilAsleep(client, id);
    await first.close();
    const second = await start(metadata());
    await untilAsleep(second.get(DispatchClient), id);
    expect(effects).toBe(1);
  });
});

describe('the run of a function', () => {
  it('has a fresh instance of a request-scoped provider each time, whose dependencies are its own', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Visit {
      steps = 0;
    }
    @Injectable({ scope: Scope.REQUEST })
    class Scoped {
      constructor(
        @Inject(Visit) private readonly visit: Visit,
        private readonly greeter: Greeter,
      ) {}

      @DispatchFunction()
      async inner(): Promise<number> {
        return ++this.visit.steps;
      }
      @DispatchFunction()
      async run(): Promise<unknown[]> {
        this.visit.steps += 10;
        return [await this.greeter.greet('you'), await this.inner(), await this.inner(), this.visit.steps];
      }
    }
    const app = await start({ imports: [DispatchModule.forRoot()], providers: [Scoped, Visit, Greeter] });
    const result = app.get(DispatchClient).call({ function: 'Scoped.run' });
    await expect(result).resolves.toEqual(['hello you', 1, 1, 10]);
  });

  it('does not see the async context of the request that dispatched it', async () => {
    const context = new AsyncLocalStorage<string>();
    @Injectable()
    class Looking {
      @DispatchFunction()
      async look(): Promise<string | undefined> {
        return context.getStore();
      }
    }
    const app = await start({ imports: [DispatchModule.forRoot()], providers: [Looking] });
    const call = () => app.get(DispatchClient).call(app.get(Looking).look);
    await expect(context.run('a request', call)).resolves.toBeUndefined();
  });
});

function resolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

/** Until the call waits for a time that is far away. */
async function untilAsleep(client: DispatchClient, id: string): Promise<void> {
  for (;;) {
    const call = await client.get(id);
    if (call?.state === 'suspended' && (call.dueAt ?? 0) > Date.now() + 3_600_000) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
