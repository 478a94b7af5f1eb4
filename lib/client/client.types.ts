import type { DurableMethod, DurationInput } from '../decorators/index.js';
import type { DispatchTransaction } from './caller.transaction.js';
import type { DispatchCall } from './dispatch.call.js';

/** 32 hex digits, opaque: what a call is known by everywhere. */
export type DispatchID = string;

export type ArgumentsOf<F> = F extends (...args: infer A) => unknown ? A : never;

export type ResultOf<F> = F extends (...args: never[]) => infer R ? Awaited<R> : never;

/** The durable methods of a provider, each building a call instead of running. Methods that are not async are left out. */
export type CallsOf<T> = {
  readonly [K in keyof T as T[K] extends DurableMethod ? K : never]: (
    ...args: ArgumentsOf<T[K]>
  ) => DispatchCall<ResultOf<T[K]>>;
};

/** The results of a list of calls, in their order. */
export type ResultsOf<T extends readonly unknown[]> = {
  -readonly [K in keyof T]: T[K] extends DispatchCall<infer R> ? R : never;
};

/** How calls are dispatched: `client.with(options)`. */
export interface DispatchOptions {
  /**
   * Calls with the same key are one call: the second one is not made, and has the id and the result of the first. Kept
   * as long as the call is. Several calls that are dispatched together get a key each, from this one and their place.
   */
  idempotencyKey?: string;
  /**
   * Calls that are ready start in the order of their priorities, higher ones first: a whole number from -100 to 100.
   * Lower ones still get a share, and what a call calls has its priority. Default: 0.
   */
  priority?: number;
  /**
   * Calls of one function with the same key run one after the other, from their start to their end, in the order in
   * which they became ready; with `concurrency: { perKey }` of the function, that many at a time. Default: none.
   */
  key?: string;
  /** How long after now the call starts. */
  delay?: DurationInput;
  /** When the call starts: a Date, or milliseconds since 1970. Not beside `delay`. */
  at?: Date | number;
  /** How long after its creation the call may still be attempted. Default: what its function says, else for ever. */
  expiration?: DurationInput;
  /**
   * A transaction of the application in the database of the store, which has to be PostgreSQL: the call is there if and
   * only if the transaction is committed, and starts then. For what is dispatched, not for what is awaited. In a durable
   * function the whole transaction belongs into a `step`.
   */
  transaction?: DispatchTransaction;
}

export interface ResultOptions {
  /**
   * How long to wait. Then the wait, not the call, ends with a `TimeoutError`. Default: without limit; with a remote
   * scheduler 5 min.
   */
  timeout?: DurationInput;
  /** Ends the wait, not the call, with the signal's reason. */
  signal?: AbortSignal;
}
