import type { RemoteCall } from '../coroutine/index.js';
import { boundFunctionOf } from '../decorators/index.js';
import { describe, parseDuration } from '../dispatch.duration.js';
import { InvalidArgumentError } from '../errors/index.js';
import type { DispatchRegistry } from '../registry/index.js';
import { pack, packArguments } from '../values/index.js';
import { refuse } from './call.options.js';
import type { DispatchOptions } from './client.types.js';
import { DispatchCall, type CallDescription, type CallDispatcher } from './dispatch.call.js';

/** Makes calls of what a client is given: a method, a call of another service, or a call that was built before. */
export class CallBuilder {
  constructor(
    private readonly registry: Pick<DispatchRegistry, 'get' | 'namesOf'>,
    private readonly dispatcher: CallDispatcher,
    private readonly options: DispatchOptions,
  ) {}

  /** @throws InvalidArgumentError for what is no call, and for input that cannot be recorded */
  from(target: unknown, args: readonly unknown[]): DispatchCall<unknown> {
    if (typeof target === 'function') return this.local(this.nameOf(target), args);
    if (target instanceof DispatchCall) return this.adopt(target);
    if (typeof target === 'object' && target !== null && 'function' in target)
      return this.foreign(target as RemoteCall);
    throw new InvalidArgumentError(
      `${describe(target)} is no call: give a durable method, a call that of() or build() made, or { endpoint, function, input }.`,
    );
  }

  /** A call of the method of a provider; undefined for a property that is no method of its own. */
  ofMethod(provider: object, key: string | symbol): ((...args: unknown[]) => DispatchCall<unknown>) | undefined {
    const bound = boundFunctionOf(provider, key);
    if (bound !== undefined && this.registry.get(bound.name) !== undefined) {
      return (...args) => this.local(bound.name, args);
    }
    // Promises, inspection and serializers look for these on any object.
    if (typeof key === 'symbol' || key === 'then' || key === 'toJSON') return undefined;
    const place = `${provider.constructor.name}.${key}`;
    throw new InvalidArgumentError(
      `${place} is not registered as a durable function: decorate it with @DispatchFunction(), make its class a provider ` +
        `of a module, and hand over the instance that Nest injects.`,
    );
  }

  private local(name: string, args: readonly unknown[]): DispatchCall<unknown> {
    return this.make({
      endpoint: undefined,
      function: name,
      version: undefined,
      input: packArguments(args),
      expiration: this.registry.get(name)?.policy.expiration,
      options: this.options,
    });
  }

  private foreign({ endpoint, function: name, input, version, expiration }: RemoteCall): DispatchCall<unknown> {
    if (typeof name !== 'string' || name === '') {
      throw new InvalidArgumentError(
        `A call of another service needs the name of its function: it is ${describe(name)}.`,
      );
    }
    if (endpoint !== undefined && !/^(https?:\/\/|bridge:\/\/|arn:aws:lambda)/.test(endpoint)) {
      throw new InvalidArgumentError(
        `The endpoint ${describe(endpoint)} of the call of ${name} is no address: give one that begins with http:// or https://.`,
      );
    }
    return this.make({
      endpoint,
      function: name,
      version,
      input: pack(input),
      expiration: expiration === undefined ? undefined : parseDuration(expiration, `expiration of ${name}`, refuse),
      options: this.options,
    });
  }

  /** The options of the client that a call is handed to count, where it has any. */
  private adopt(call: DispatchCall<unknown>): DispatchCall<unknown> {
    return this.make({ ...call.description, options: { ...call.description.options, ...this.options } });
  }

  private make(description: CallDescription): DispatchCall<unknown> {
    return new DispatchCall(description, this.dispatcher);
  }

  private nameOf(method: object): string {
    const names = this.registry.namesOf(method);
    const [name, another] = names;
    const shown =
      'name' in method && typeof method.name === 'string' && method.name !== '' ? method.name : 'a function';
    if (name === undefined) {
      throw new InvalidArgumentError(
        `${shown} is not registered as a durable function: decorate the method with @DispatchFunction() and make its class ` +
          `a provider of a module.`,
      );
    }
    if (another === undefined) return name;
    throw new InvalidArgumentError(
      `${shown} is registered as ${names.join(' and ')}, and the method alone does not tell which one is meant: ` +
        `use dispatch.of(provider).${shown}(…).`,
    );
  }
}
