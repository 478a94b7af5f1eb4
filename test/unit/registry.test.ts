import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, Inject, Injectable, Logger, Module, Scope, type ModuleMetadata } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  ConfigurationError,
  DispatchFunction,
  DispatchModule,
  DispatchRegistry,
  Status,
  type DispatchFunctionOptions,
  type DispatchModuleOptions,
} from '../../lib/index.js';

@Injectable()
class Greeter {
  @DispatchFunction()
  async greet(name: string): Promise<string> {
    return `hello ${name}`;
  }

  async plain(): Promise<void> {}
}

let module: TestingModule | undefined;

afterEach(async () => {
  jest.restoreAllMocks();
  await module?.close();
  module = undefined;
});

async function start(metadata: ModuleMetadata, options: DispatchModuleOptions = {}): Promise<DispatchRegistry> {
  module = await Test.createTestingModule({
    ...metadata,
    imports: [DispatchModule.forRoot(options), ...(metadata.imports ?? [])],
  }).compile();
  await module.init();
  return module.get(DispatchRegistry);
}

const names = (registry: DispatchRegistry): string[] => registry.list().map(({ name }) => name);

const refusal = async (metadata: ModuleMetadata): Promise<string> => {
  const error = await start(metadata).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ConfigurationError);
  return (error as Error).message;
};

function withOptions(options: DispatchFunctionOptions) {
  @Injectable()
  class Bad {
    @DispatchFunction(options)
    async run(): Promise<void> {}
  }
  return Bad;
}

describe('the registry', () => {
  it('finds decorated methods of providers and controllers, under Class.method or the name they were given', async () => {
    @Controller()
    class Front {
      @DispatchFunction('front')
      async handle(): Promise<void> {}
    }
    const registry = await start({ providers: [Greeter], controllers: [Front] });
    expect(names(registry)).toEqual(['Greeter.greet', 'front']);
    expect(registry.get('Greeter.greet')?.place).toMatch(/\/Greeter\.greet$/);
    expect(registry.get('Greeter.plain')).toBeUndefined();
  });

  it('runs a method on its own instance', async () => {
    const registry = await start({ providers: [Greeter] });
    await expect(registry.get('Greeter.greet')?.invoke(['you'])).resolves.toBe('hello you');
  });

  it('finds inherited methods under the class that is provided, and leaves out what it overrides undecorated', async () => {
    class Base {
      @DispatchFunction()
      async first(): Promise<string> {
        return this.constructor.name;
      }
      @DispatchFunction()
      async second(): Promise<string> {
        return 'base';
      }
    }
    @Injectable()
    class Derived extends Base {
      override async second(): Promise<string> {
        return 'derived';
      }
    }
    const registry = await start({ providers: [Derived] });
    expect(names(registry)).toEqual(['Derived.first']);
    await expect(registry.get('Derived.first')?.invoke([])).resolves.toBe('Derived');
  });

  it('finds methods whose key is a symbol', async () => {
    const key = Symbol('secret');
    @Injectable()
    class Keyed {
      @DispatchFunction()
      async [key](): Promise<number> {
        return 1;
      }
    }
    expect(names(await start({ providers: [Keyed] }))).toEqual(['Keyed.secret']);
  });

  it('registers an instance once, whatever its aliases', async () => {
    const registry = await start({
      providers: [
        Greeter,
        { provide: 'ALIAS', useExisting: Greeter },
        { provide: 'MADE', useFactory: (greeter: Greeter) => greeter, inject: [Greeter] },
      ],
    });
    expect(names(registry)).toEqual(['Greeter.greet']);
  });

  it('finds what factories and values bring', async () => {
    const registry = await start({ providers: [{ provide: 'G', useFactory: async () => new Greeter() }] });
    expect(names(registry)).toEqual(['Greeter.greet']);
  });

  it('does not find the original of a provider that a test has replaced', async () => {
    module = await Test.createTestingModule({ imports: [DispatchModule.forRoot()], providers: [Greeter] })
      .overrideProvider(Greeter)
      .useValue({ greet: () => Promise.resolve('mock') })
      .compile();
    await module.init();
    expect(module.get(DispatchRegistry).list()).toEqual([]);
  });

  it('refuses two methods under one name, naming both places', async () => {
    @Injectable()
    class Other {
      @DispatchFunction('Greeter.greet')
      async hello(): Promise<void> {}
    }
    const message = await refusal({ providers: [Greeter, Other] });
    expect(message).toMatch(/Greeter\.greet: \S+\/Greeter\.greet and \S+\/Other\.hello/);
  });

  it('refuses one class that two modules provide, and says what to do', async () => {
    @Module({ providers: [Greeter] })
    class FirstModule {}
    @Module({ providers: [Greeter] })
    class SecondModule {}
    const message = await refusal({ imports: [FirstModule, SecondModule] });
    expect(message).toContain('FirstModule/Greeter.greet and SecondModule/Greeter.greet');
    expect(message).toContain('export it');
  });

  it.each([
    [{ name: 'no spaces' }, '"no spaces"'],
    [{ name: '1st' }, '"1st"'],
    [{ name: '' }, '""'],
    [{ expiration: 'soon' }, 'expiration is "soon"'],
    [{ runTimeout: -5 }, 'runTimeout is -5'],
    [{ concurrency: 0 }, 'concurrency is 0'],
    [{ concurrency: { runs: 0 } }, 'concurrency.runs is 0'],
    [{ concurrency: { perKey: 1.5 } }, 'concurrency.perKey is 1.5'],
    [{ concurrency: { perkey: 1 } }, 'did you mean concurrency.perKey?'],
    [{ retry: { retryOn: Status.TIMEOUT } }, 'retry.retryOn is 2: give a list of statuses'],
    [{ retry: { retryOn: [Status.OK] } }, 'retry.retryOn has 1'],
    [{ retry: { retryOn: [Status.INCOMPATIBLE_STATE] } }, 'what onIncompatible is for'],
    [{ retry: { maxAttempts: 0 } }, 'retry.maxAttempts is 0'],
    [{ retry: { initial: 'x' } }, 'retry.initial is "x"'],
    [{ retry: { multiplier: 0.5 } }, 'retry.multiplier is 0.5'],
    [{ onIncompatible: 'stop' }, 'onIncompatible is "stop"'],
    [{ startAfterCommit: 'yes' }, 'startAfterCommit is "yes"'],
    [{ version: 2 }, 'version is 2'],
    [{ expirations: '1h' }, 'did you mean expiration?'],
    [{ retry: { maxAttempt: 3 } }, 'did you mean retry.maxAttempts?'],
  ])('refuses the options %j', async (options, message) => {
    const refused = await refusal({ providers: [withOptions(options as DispatchFunctionOptions)] });
    expect(refused).toContain('Bad.run');
    expect(refused).toContain(message);
  });

  it('reads durations of the options', async () => {
    const Timed = withOptions({ expiration: '1h', runTimeout: '5s', retry: { initial: '1s', max: 5_000 } });
    expect((await start({ providers: [Timed] })).get('Bad.run')?.policy).toMatchObject({
      expiration: 3_600_000,
      runTimeout: 5_000,
      retry: { initial: 1_000, max: 5_000 },
    });
  });

  it.each([Scope.REQUEST, Scope.TRANSIENT])(
    'makes a new instance for each run of a provider of scope %s',
    async (scope) => {
      let made = 0;
      @Injectable({ scope })
      class Scoped {
        private readonly number = ++made;
        constructor(readonly greeter: Greeter) {}

        @DispatchFunction()
        async run(): Promise<string> {
          return `${this.number} ${await this.greeter.greet('you')}`;
        }
      }
      const registry = await start({ providers: [Scoped, Greeter] }, { outside: 'run' });
      const invoke = (): Promise<unknown> | undefined => registry.get('Scoped.run')?.invoke([]);
      const before = made;
      await expect(invoke()).resolves.toBe(`${before + 1} hello you`);
      await expect(invoke()).resolves.toBe(`${before + 2} hello you`);
    },
  );

  it('makes a new instance of a provider that becomes request-scoped by what it injects', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Context {
      readonly id = Math.random();
    }
    @Injectable()
    class Dependent {
      constructor(@Inject(Context) readonly context: Context) {}

      @DispatchFunction()
      async run(): Promise<number> {
        return this.context.id;
      }
    }
    const registry = await start({ providers: [Dependent, Context] });
    const ids = [await registry.get('Dependent.run')?.invoke([]), await registry.get('Dependent.run')?.invoke([])];
    expect(new Set(ids).size).toBe(2);
  });
});

describe('a durable method that is called outside of any durable function', () => {
  it('runs in place and warns once', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await start({ providers: [Greeter] });
    const greeter = module?.get(Greeter);
    await expect(greeter?.greet('a')).resolves.toBe('hello a');
    await expect(greeter?.greet('b')).resolves.toBe('hello b');
    expect(warn.mock.calls.filter(([message]) => String(message).includes('Greeter.greet'))).toHaveLength(1);
  });

  it('runs silently with the option run', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await start({ providers: [Greeter] }, { outside: 'run' });
    await module?.get(Greeter).greet('a');
    expect(warn).not.toHaveBeenCalled();
  });

  it('rejects with the option error', async () => {
    await start({ providers: [Greeter] }, { outside: 'error' });
    await expect(module?.get(Greeter).greet('a')).rejects.toThrow(/Greeter\.greet .* outside: 'error'/s);
  });

  it('is the plain method on an object that no module knows', async () => {
    await start({ providers: [Greeter] }, { outside: 'error' });
    await expect(new Greeter().greet('a')).resolves.toBe('hello a');
  });
});
