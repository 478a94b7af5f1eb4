import type { Any } from '@bufbuild/protobuf/wkt';
import type { RetryPolicy } from '../protocol/index.js';

/** A registered function, as the runtime runs it. */
export interface DurableFunction {
  readonly name: string;
  readonly version: string;
  /** Runs the method's own code on an instance of its class, in the caller's async context. */
  invoke(args: readonly unknown[]): Promise<unknown>;
  /** How `step()` retries inside of it. */
  readonly retry?: RetryPolicy;
}

export interface FunctionLookup {
  get(name: string): DurableFunction | undefined;
}

/** A call to make: a function by name, with its input packed. */
export interface CallSpec {
  /** Absent or empty: a function of the same application. */
  readonly endpoint?: string;
  readonly function: string;
  readonly version?: string;
  readonly input?: Any;
  /** Milliseconds after the call's creation. */
  readonly expiration?: number;
}

/** What `currentCall()` tells about the call that is running. */
export interface CurrentCall {
  readonly id: string;
  /** Undefined for a root. */
  readonly parentId: string | undefined;
  readonly rootId: string;
  readonly function: string;
  /** Runs since the last durable point, this one included; 1 for the first. */
  readonly attempt: number;
  readonly creationTime: Date | undefined;
  readonly expirationTime: Date | undefined;
  /** Fires when the run is over for the scheduler: deadline, cancellation, shutdown. */
  readonly signal: AbortSignal;
}

/** The run that the calling code belongs to. */
export interface DurableRun {
  readonly current: CurrentCall;
  /** Makes a durable call; the promise settles with its result. */
  call(spec: CallSpec): Promise<unknown>;
  /** Makes all calls, joins all results in the order of the calls; rejects with the first failure. */
  gather(specs: readonly CallSpec[]): Promise<unknown[]>;
  /** Runs local code once and records its result. `key` is stable over attempts and replays. */
  step<T>(fn: (step: { readonly key: string }) => T | Promise<T>, options?: { name?: string }): Promise<T>;
}
