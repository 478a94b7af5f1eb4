import type { DurableFunction } from '../coroutine/types.js';
import type { RetryPolicy } from '../protocol/index.js';

/** What the options of `@DispatchFunction()` say about the calls of a function. Durations are milliseconds. */
export interface FunctionPolicy {
  readonly version: string;
  readonly expiration?: number;
  readonly retry?: RetryPolicy;
  readonly concurrency?: number;
  readonly perKey?: number;
  readonly runTimeout?: number;
  readonly onIncompatible?: 'park' | 'restart';
  readonly startAfterCommit?: boolean;
}

/** A durable function of this application. */
export interface RegisteredFunction extends DurableFunction {
  /** Where it is defined: `module/Class.method`. */
  readonly place: string;
  readonly policy: FunctionPolicy;
}
