import { setTimeout as delay } from 'node:timers/promises';
import { boundFunctionsOfMethod, type DurableMethod } from '../decorators/function-metadata.js';
import { parseDuration } from '../dispatch.duration.js';
import { InvalidArgumentError } from '../errors/index.js';
import { pack, packArguments } from '../values/index.js';
import { currentRun, currentScope } from './context.js';
import { Execution } from './execution.js';
import type { CallSpec, CurrentCall } from './types.js';

/** Something that a durable function can await: a call in progress, or one that `DispatchClient` has built. */
export type Awaitable<T> = PromiseLike<T> | { result(): Promise<T> };

type Result<A> = A extends Awaitable<infer R> ? R : never;
type Results<T extends readonly unknown[]> = { -readonly [K in keyof T]: Result<T[K]> };

const toPromise = <T>(awaitable: Awaitable<T>): PromiseLike<T> =>
  'then' in awaitable ? awaitable : awaitable.result();

/**
 * Awaits all calls and returns their results in the order of the calls. Rejects with the first failure. All calls are
 * made at once, and the function costs nothing until they have finished.
 *
 * ```ts
 * const sizes = await gather(urls.map((url) => this.pages.fetch(url)));
 * ```
 */
export function gather<const T extends readonly Awaitable<unknown>[]>(calls: T): Promise<Results<T>>;
export function gather<T>(calls: Iterable<Awaitable<T>>): Promise<T[]>;
export function gather(calls: Iterable<Awaitable<unknown>>): Promise<unknown[]> {
  const promises = Array.from(calls, toPromise);
  const run = currentRun();
  if (run instanceof Execution && promises.every((promise) => run.owns(promise))) return run.join(promises);
  return Promise.all(promises);
}

/** The same as `gather`. */
export const all = gather;

/** Awaits the first call that succeeds. Rejects with an AggregateError when all have failed. */
export function any<A extends Awaitable<unknown>>(calls: Iterable<A>): Promise<Result<A>>;
export function any(calls: Iterable<Awaitable<unknown>>): Promise<unknown> {
  return Promise.any(Array.from(calls, toPromise));
}

/** Awaits the first call that succeeds or fails. The others are cancelled when the function ends. */
export function race<A extends Awaitable<unknown>>(calls: Iterable<A>): Promise<Result<A>>;
export function race(calls: Iterable<Awaitable<unknown>>): Promise<unknown> {
  return Promise.race(Array.from(calls, toPromise));
}

/** A call of a function of another application, in any language. */
export interface RemoteCall {
  /** The application's address: `https://…`. Left out: this application. */
  endpoint?: string;
  /** The function's name there. */
  function: string;
  /** One plain value: the form that every language reads. */
  input?: unknown;
  version?: string;
  /** Milliseconds, or `'30s'`. */
  expiration?: number | string;
}

/**
 * Calls a function of another application durably, and awaits its result. The result's type is what you say it is: the
 * other side is not known here.
 *
 * @throws InvalidArgumentError outside of a durable function (use `DispatchClient` there), or for an input that cannot be sent
 */
export function call<R = unknown>(remote: RemoteCall | { result(): Promise<R> }): Promise<R> {
  if ('result' in remote) return remote.result();
  const run = currentRun();
  if (run === undefined) {
    return Promise.reject(
      new InvalidArgumentError('call() works in a durable function only: use DispatchClient.call() here.'),
    );
  }
  try {
    return run.call(specOf(remote)) as Promise<R>;
  } catch (error) {
    return Promise.reject(error);
  }
}

function specOf({ endpoint, function: name, input, version, expiration }: RemoteCall): CallSpec {
  return {
    endpoint,
    function: name,
    version,
    input: pack(input, 'input'),
    expiration: expiration === undefined ? undefined : durationOf(expiration, 'expiration'),
  };
}

/**
 * Waits, durably: the function costs nothing meanwhile, and restarts and deploys do not matter. In code that is not a
 * durable function it is a plain timer.
 *
 * @param duration milliseconds, or a string of the `ms` package: `'1h'`, `'7d'`
 * @throws InvalidArgumentError for what is no duration
 */
export function sleep(duration: number | string): Promise<void> {
  let time: number;
  try {
    time = durationOf(duration, 'sleep()');
  } catch (error) {
    return Promise.reject(error);
  }
  const run = currentRun();
  return run instanceof Execution ? run.sleep(time) : plainTimer(time);
}

/** The longest that a timer of Node can wait, in milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1;

async function plainTimer(time: number): Promise<void> {
  for (let left = time; left > 0; left -= LONGEST_TIMER) await delay(Math.min(left, LONGEST_TIMER));
}

const durationOf = (duration: number | string, what: string): number =>
  parseDuration(duration, what, (message) => new InvalidArgumentError(message));

/**
 * Runs local code once and records its result: random values, clocks, requests whose effect must not be repeated by a
 * replay. It may run again if the process ends before the result is on disk: `key` is the same then, for the other
 * side to tell.
 *
 * ```ts
 * const order = await step(({ key }) => this.payments.charge(card, { idempotencyKey: key }));
 * ```
 *
 * Failures that pass are tried again by the function's retry policy. In code that is not a durable function it just
 * runs `code`.
 *
 * @param options.name sets steps apart that are begun in an order that I/O decides
 */
export function step<T>(
  code: (step: { readonly key: string }) => T | Promise<T>,
  options?: { name?: string },
): Promise<T> {
  const run = currentRun();
  if (run !== undefined) return run.step(code, options);
  return Promise.resolve().then(() => code({ key: `outside:${crypto.randomUUID()}` }));
}

/**
 * Ends this call and lets another function take its place, under the same id: its result is this call's result, and its
 * history begins anew. Never returns; what the function still awaited is cancelled.
 *
 * ```ts
 * return tailCall(this.poll, cursor);
 * ```
 *
 * In code that is not a durable function it calls the function in place.
 */
export function tailCall<F extends DurableMethod>(fn: F, ...args: Parameters<F>): Promise<never> {
  const bound = boundFunctionsOfMethod(fn);
  const [one] = bound;
  if (one === undefined || bound.length > 1) {
    return Promise.reject(
      new InvalidArgumentError(
        tailCallRefusal(
          fn,
          bound.map(({ name }) => name),
        ),
      ),
    );
  }
  const run = currentRun();
  if (run instanceof Execution) {
    try {
      return run.tailCall({ function: one.name, input: packArguments(args), expiration: one.expiration });
    } catch (error) {
      return Promise.reject(error);
    }
  }
  return one.invoke(args) as Promise<never>;
}

const tailCallRefusal = (fn: object, names: readonly string[]): string =>
  names.length === 0
    ? `tailCall() got ${String((fn as { name?: unknown }).name)}, which is no registered function: decorate it with @DispatchFunction() and provide its class.`
    : `tailCall() got a method that is registered as ${names.join(' and ')}: it cannot tell which one is meant.`;

/**
 * The call that the code belongs to.
 *
 * @throws InvalidArgumentError outside of durable functions
 */
export function currentCall(): CurrentCall {
  const current = currentScope()?.current;
  if (current === undefined) {
    throw new InvalidArgumentError('currentCall() works in a durable function only, and in what it awaits.');
  }
  return current;
}
