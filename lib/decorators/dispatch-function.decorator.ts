import { currentRun } from '../coroutine/context.js';
import { ConfigurationError, InvalidArgumentError } from '../errors/index.js';
import { packArguments } from '../values/index.js';
import {
  boundFunctionOf,
  setFunctionMetadata,
  type DispatchFunctionOptions,
  type DurableMethod,
  type FunctionMetadata,
} from './function-metadata.js';

type DurableMethodDecorator = <T extends DurableMethod>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<T>,
) => void;

/**
 * Makes an async method of a provider a durable function: a call of it survives failures, restarts and deploys.
 *
 * Called from another durable function, it becomes a call of its own: recorded, retried, resumed. Called from anywhere
 * else it is the plain method.
 *
 * ```ts
 * @DispatchFunction()
 * async publish(url: string, payload: unknown): Promise<number> { … }
 * ```
 *
 * @param nameOrOptions the function's name (default: `Class.method`), or its options
 * @throws ConfigurationError at once on a static method or an accessor
 */
export function DispatchFunction(nameOrOptions: string | DispatchFunctionOptions = {}): DurableMethodDecorator {
  const options = typeof nameOrOptions === 'string' ? { name: nameOrOptions } : nameOrOptions;
  return (target, key, descriptor) => {
    const original = descriptor.value;
    const place = `${typeof target === 'function' ? target.name : target.constructor.name}.${String(key)}`;
    if (typeof target === 'function') {
      throw new ConfigurationError(
        `@DispatchFunction() is on the static method ${place}: put it on an instance method of a provider.`,
      );
    }
    if (typeof original !== 'function') {
      throw new ConfigurationError(
        `@DispatchFunction() is on ${place}, which is no method: put it on an async method.`,
      );
    }
    descriptor.value = durable(original, key, options, place) as unknown as typeof original;
  };
}

function durable(
  original: DurableMethod,
  key: string | symbol,
  options: DispatchFunctionOptions,
  place: string,
): FunctionMetadata['original'] {
  const plain = original as (...args: unknown[]) => Promise<unknown>;
  function method(this: unknown, ...args: unknown[]): Promise<unknown> {
    const run = currentRun();
    const bound = boundFunctionOf(this, key);
    // `super.method()` of an overriding durable method is part of that method, not a call of its own.
    if (bound !== undefined && bound.original !== original) return plain.apply(this, args);
    if (run === undefined) {
      try {
        bound?.onOutside?.();
      } catch (error) {
        return Promise.reject(error);
      }
      return plain.apply(this, args);
    }
    if (bound === undefined) {
      return Promise.reject(
        new InvalidArgumentError(
          `${place} was called in a durable function, but on an object that no module provides: inject the provider ` +
            `instead of creating it, or remove @DispatchFunction() where it is to be a plain method.`,
        ),
      );
    }
    try {
      return run.call({ function: bound.name, input: packArguments(args), expiration: bound.expiration });
    } catch (error) {
      return Promise.reject(error);
    }
  }
  Object.defineProperty(method, 'name', { value: String(key), configurable: true });
  Object.defineProperty(method, 'length', { value: original.length, configurable: true });
  copyMetadata(original, method);
  setFunctionMetadata(method, { options, original, key });
  return method;
}

/** What decorators below this one noted on the function object (guards, routes) stays visible. */
function copyMetadata(from: object, to: object): void {
  for (const key of Reflect.getMetadataKeys(from) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, from), to);
  }
}
