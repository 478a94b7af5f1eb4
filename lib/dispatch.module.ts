import { Inject, Module, Optional, type DynamicModule, type OnModuleInit, type Provider } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { DispatchClient } from './client/index.js';
import { DISPATCH_MODULE_OPTIONS, DISPATCH_SETTINGS } from './dispatch.constants.js';
import type { DispatchModuleAsyncOptions, DispatchModuleOptions, DispatchOptionsFactory } from './dispatch.options.js';
import { dispatchProviders } from './dispatch.providers.js';
import { ConfigurationError } from './errors/index.js';
import { DispatchRegistry } from './registry/index.js';

/**
 * Gives an application durable functions. Import it once, in the root module:
 *
 * ```ts
 * @Module({ imports: [DispatchModule.forRoot()], providers: [Pipeline] })
 * export class AppModule {}
 * ```
 */
@Module({})
export class DispatchModule implements OnModuleInit {
  constructor(
    private readonly modules: ModulesContainer,
    @Optional() @Inject(DISPATCH_SETTINGS) private readonly settings?: unknown,
  ) {}

  /** With options, all of which may be left out. */
  static forRoot(options: DispatchModuleOptions = {}): DynamicModule {
    return assemble([{ provide: DISPATCH_MODULE_OPTIONS, useValue: options }], options.isGlobal);
  }

  /**
   * With options that other providers make: `useFactory`, `useClass` or `useExisting`.
   *
   * @throws ConfigurationError when none or several of them are given
   */
  static forRootAsync(options: DispatchModuleAsyncOptions): DynamicModule {
    return { ...assemble(optionProviders(options), options.isGlobal), imports: options.imports ?? [] };
  }

  /** @internal */
  onModuleInit(): void {
    const imported = [...this.modules.values()].filter(({ metatype }) => metatype === DispatchModule);
    if (imported.length > 1) {
      throw new ConfigurationError(
        `DispatchModule is imported ${imported.length} times: import DispatchModule.forRoot() (or forRootAsync()) once, in ` +
          `the root module. It is global, so that other modules need no import of it.`,
      );
    }
    if (this.settings === undefined) {
      throw new ConfigurationError(
        'DispatchModule is imported as it is: import DispatchModule.forRoot(), or forRootAsync(), instead.',
      );
    }
  }
}

function assemble(options: Provider[], isGlobal = true): DynamicModule {
  return {
    module: DispatchModule,
    global: isGlobal,
    providers: [...options, ...dispatchProviders],
    exports: [DispatchClient, DispatchRegistry],
  };
}

function optionProviders({ useFactory, useClass, useExisting, inject }: DispatchModuleAsyncOptions): Provider[] {
  if ([useFactory, useClass, useExisting].filter((way) => way !== undefined).length !== 1) {
    throw new ConfigurationError(
      'DispatchModule.forRootAsync() needs exactly one of useFactory, useClass and useExisting.',
    );
  }
  if (useFactory !== undefined) {
    return [{ provide: DISPATCH_MODULE_OPTIONS, useFactory: useFactory as () => unknown, inject: inject ?? [] }];
  }
  const factory = useClass ?? useExisting;
  if (factory === undefined) return [];
  const options: Provider = {
    provide: DISPATCH_MODULE_OPTIONS,
    useFactory: (made: DispatchOptionsFactory) => made.createDispatchOptions(),
    inject: [factory],
  };
  return useClass === undefined ? [options] : [useClass, options];
}
