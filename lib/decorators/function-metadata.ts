import type { RetryPolicy } from '../protocol/index.js';

/** Milliseconds, or a string of the `ms` package: `'30s'`, `'7d'`. */
export type DurationInput = number | string;

export interface FunctionConcurrency {
  /** Runs in flight at once in this process. Default: no limit of the function's own. */
  runs?: number;
  /** Calls with the same key that go on at once, each from its start to its end, also while it is suspended. Default: 1. */
  perKey?: number;
}

export interface DispatchFunctionOptions {
  /** What the function is called everywhere. Default: `Class.method`. Letters, digits, `_ < > .`; begins with a letter or `_`. */
  name?: string;
  /** Set it anew when a change of the code must not go on with calls that an older version began. Default: none. */
  version?: string;
  /** How long after its creation a call may still be attempted; then it fails with a `TimeoutError`. Default: for ever. */
  expiration?: DurationInput;
  /**
   * How failed attempts are made again. Default: those that failed with an error that may pass, after 100 ms, doubling up
   * to 1 min, with full jitter, until the call expires. `retryOn` names the statuses that are tried again instead.
   */
  retry?: Omit<RetryPolicy, 'initial' | 'max'> & { initial?: DurationInput; max?: DurationInput };
  /**
   * How many runs of this function may be in flight at once, in all processes that share a store: a number, or
   * `{ runs, perKey }`, where `perKey` is how many calls with the same key (`client.with({ key })`) may go on at once, each
   * from its start to its end. Default: no limit of its own, and 1 for each key.
   */
  concurrency?: number | FunctionConcurrency;
  /** How long one run may take, until it exits or suspends. Its AbortSignal fires then and the run counts as a timeout. Default: 10 min. */
  runTimeout?: DurationInput;
  /**
   * What to do with a call whose recorded steps do not fit the code any more. Default `'park'`: it is listed as
   * incompatible and waits for another version or a retry by hand. `'restart'`: it begins again from its input, which
   * repeats the effects it had.
   */
  onIncompatible?: 'park' | 'restart';
  /** Start a call only when the transaction that creates it is on disk. Default: false (it may start while it is being written). */
  startAfterCommit?: boolean;
}

/** An async method that may be decorated. */
export type DurableMethod = (...args: never[]) => Promise<unknown>;

/** What `@DispatchFunction()` notes about a method. */
export interface FunctionMetadata {
  readonly options: DispatchFunctionOptions;
  /** The method's own code. */
  readonly original: (...args: never[]) => Promise<unknown>;
  readonly key: string | symbol;
}

/** A method under the name that an application registered it by. */
export interface BoundFunction {
  readonly name: string;
  readonly version: string;
  readonly original: FunctionMetadata['original'];
  /** Milliseconds. */
  readonly expiration?: number;
  /** Called for each call made outside of any durable function; may throw. */
  readonly onOutside?: () => void;
  /** Runs the method in place, on an instance of its class. */
  readonly invoke: (args: readonly unknown[]) => Promise<unknown>;
}

type Bindings = ReadonlyMap<string | symbol, BoundFunction>;

const metadata = new WeakMap<object, FunctionMetadata>();
const bindings = new WeakMap<object, Bindings>();
const methods = new WeakMap<object, Map<string, BoundFunction>>();

export function setFunctionMetadata(method: object, noted: FunctionMetadata): void {
  metadata.set(method, noted);
}

/** What the decorator noted about a method; undefined for a method that is not decorated. */
export function getFunctionMetadata(method: unknown): FunctionMetadata | undefined {
  return typeof method === 'function' ? metadata.get(method) : undefined;
}

/** Names the decorated methods of one instance. */
export function bindInstance(instance: object, names: Bindings): void {
  bindings.set(instance, names);
}

/** Names the decorated methods of all instances of a class that have no names of their own (request-scoped providers). */
export function bindClass(constructor: object, names: Bindings): void {
  bindings.set(constructor, names);
}

/** Notes a name of a method that may be handed over without its instance (`this.pipeline.run`). */
export function bindMethod(method: object, bound: BoundFunction): void {
  const names = methods.get(method) ?? new Map<string, BoundFunction>();
  names.set(bound.name, bound);
  methods.set(method, names);
}

/** Forgets a name of a method, when its application closes. */
export function unbindMethod(method: object, bound: BoundFunction): void {
  const names = methods.get(method);
  if (names?.get(bound.name) === bound) names.delete(bound.name);
}

/** The registered function behind a method of an instance. */
export function boundFunctionOf(instance: unknown, key: string | symbol): BoundFunction | undefined {
  if (typeof instance !== 'object' || instance === null) return undefined;
  const own = bindings.get(instance);
  if (own !== undefined) return own.get(key);
  const constructor: unknown = instance.constructor;
  return typeof constructor === 'function' ? bindings.get(constructor)?.get(key) : undefined;
}

/** All names that a method is registered under: more than one where several instances have it. */
export function boundFunctionsOfMethod(method: object): BoundFunction[] {
  return [...(methods.get(method)?.values() ?? [])];
}
