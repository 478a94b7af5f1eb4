import { Inject, Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { FunctionLookup } from '../coroutine/types.js';
import { bindClass, bindInstance, bindMethod, unbindMethod, type BoundFunction } from '../decorators/index.js';
import { DISPATCH_SETTINGS, LOG_CONTEXT } from '../dispatch.constants.js';
import type { Settings } from '../dispatch.settings.js';
import { ConfigurationError, InvalidArgumentError } from '../errors/index.js';
import { FunctionExplorer, type FoundMethod, type Owner } from './function.explorer.js';
import { functionName, functionPolicy } from './function.options.js';
import type { RegisteredFunction } from './registered-function.js';

/** The durable functions of the application. Injectable; filled when the application's modules are initialized. */
@Injectable()
export class DispatchRegistry implements FunctionLookup, OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(LOG_CONTEXT);
  private readonly functions = new Map<string, RegisteredFunction>();
  private readonly bound: { method: object; function: BoundFunction }[] = [];
  private readonly namesByMethod = new Map<object, string[]>();

  constructor(
    private readonly explorer: FunctionExplorer,
    @Inject(DISPATCH_SETTINGS) private readonly settings: Settings,
  ) {}

  /** The function of that name; undefined when the application has none. */
  get(name: string): RegisteredFunction | undefined {
    return this.functions.get(name);
  }

  /** All functions, by name. */
  list(): RegisteredFunction[] {
    return [...this.functions.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The names that a method (`this.pipeline.run`) is registered under: more than one where several providers inherit it. */
  namesOf(method: object): readonly string[] {
    return this.namesByMethod.get(method) ?? [];
  }

  /** @internal */
  onModuleInit(): void {
    const byOwner = new Map<object, { owner: Owner; names: Map<string | symbol, BoundFunction> }>();
    for (const found of this.explorer.explore()) {
      const bound = this.register(found);
      const identity = found.owner.kind === 'instance' ? found.owner.instance : found.owner.constructor;
      const entry = byOwner.get(identity) ?? { owner: found.owner, names: new Map<string | symbol, BoundFunction>() };
      entry.names.set(found.metadata.key, bound);
      byOwner.set(identity, entry);
    }
    for (const { owner, names } of byOwner.values()) {
      if (owner.kind === 'instance') bindInstance(owner.instance, names);
      else bindClass(owner.constructor, names);
    }
  }

  /** @internal */
  onApplicationShutdown(): void {
    for (const bound of this.bound.splice(0)) unbindMethod(bound.method, bound.function);
  }

  private register(found: FoundMethod): BoundFunction {
    const { metadata, place, owner, method } = found;
    const name = functionName(metadata.options, found.className, metadata.key, place);
    const taken = this.functions.get(name);
    if (taken !== undefined) throw duplicate(name, taken.place, place);
    const policy = functionPolicy(metadata.options, place);
    const original = metadata.original as (...args: readonly unknown[]) => Promise<unknown>;
    const invoke =
      owner.kind === 'instance'
        ? (args: readonly unknown[]) => original.apply(owner.instance, [...args])
        : async (args: readonly unknown[]) => original.apply(await owner.resolve(), [...args]);
    this.functions.set(name, { name, version: policy.version, retry: policy.retry, invoke, place, policy });
    const bound: BoundFunction = {
      name,
      version: policy.version,
      original: metadata.original,
      expiration: policy.expiration,
      onOutside: this.outsidePolicy(name, place),
      invoke,
    };
    bindMethod(method, bound);
    this.bound.push({ method, function: bound });
    this.namesByMethod.set(method, [...(this.namesByMethod.get(method) ?? []), name]);
    return bound;
  }

  private outsidePolicy(name: string, place: string): (() => void) | undefined {
    const advice =
      `It runs in place, so nothing of it is retried or survives a restart. Use DispatchClient to dispatch it, ` +
      `or set the option outside: 'run' when that is what you want.`;
    switch (this.settings.outside) {
      case 'run':
        return undefined;
      case 'error':
        return () => {
          throw new InvalidArgumentError(
            `The durable function ${name} (${place}) was called outside of any durable function, which the option ` +
              `outside: 'error' forbids. Use DispatchClient to dispatch it.`,
          );
        };
      case 'warn': {
        let warned = false;
        return () => {
          if (warned) return;
          warned = true;
          this.logger.warn(`${name} (${place}) was called outside of any durable function. ${advice}`);
        };
      }
    }
  }
}

function duplicate(name: string, first: string, second: string): ConfigurationError {
  const why =
    first === second || first.split('/')[1] === second.split('/')[1]
      ? `The class is a provider of more than one module: provide it in one, export it from there and import that module ` +
        `(an alias with useExisting is fine)`
      : `Give one of them another name with @DispatchFunction({ name })`;
  return new ConfigurationError(`Two durable functions have the name ${name}: ${first} and ${second}. ${why}.`);
}
