import type { RetryPolicy } from '../../protocol/index.js';

/** How long, in milliseconds. */
export type Milliseconds = number;

/** How the scheduler treats the calls of a function. */
export interface FunctionPolicy {
  readonly name: string;
  /** Which version of the function the application has. Default: none. */
  readonly version?: string;
  /** Default: the scheduler's. */
  readonly retry?: RetryPolicy;
  /** How long one run may take. Default: the scheduler's `runTimeout`. */
  readonly runTimeout?: Milliseconds;
  /**
   * `'restart'`: a call whose recorded state fits no code that is here begins again from its first input, even when
   * results were recorded: what it did may then be done twice. Default: such a call is parked as `incompatible`.
   */
  readonly onIncompatible?: 'restart';
  /** Calls start only after the commit that creates them. Default: a child may start while it is being written. */
  readonly startAfterCommit?: boolean;
  /** Runs of this function at the same time, in all processes that share a store. Default: no limit but the scheduler's `concurrency`. */
  readonly concurrency?: number;
  /** Calls of this function with the same key that go on at the same time, each from its start to its end. Default 1. */
  readonly perKey?: number;
}

/** How the scheduler treats an endpoint. */
export interface EndpointPolicy {
  /** Runs at the same time, at most; how many there are below that follows from its answers. Default: the scheduler's. */
  readonly concurrency?: number;
}

export interface SchedulerOptions {
  /** `false`: calls are dispatched and inspected, and nothing is run. Default true. */
  readonly run?: boolean;
  /** Runs at the same time. Default 100. */
  readonly concurrency?: number;
  /** By the endpoint's address, as calls name it. */
  readonly endpoints?: Readonly<Record<string, EndpointPolicy>>;
  /** Runs that start before the event loop turns, so that timers and I/O get their share. Default 500. */
  readonly startsPerTurn?: number;
  /** How long one run may take before it counts as TIMEOUT and is made again. Default 600,000 ms (10 min). */
  readonly runTimeout?: Milliseconds;
  /** Of functions whose policy has none. */
  readonly retry?: RetryPolicy;
  /** How long a cancelled call may clean up. Default 60,000 ms. */
  readonly cancelGrace?: Milliseconds;
  /** How long finished calls are kept after their root has finished. Default 604,800,000 ms (7 days); Infinity: for good. */
  readonly retention?: Milliseconds;
  /** How often finished calls are looked for to be removed. Default 300,000 ms. */
  readonly purgeInterval?: Milliseconds;
  /** Bytes of inputs and results that are held in memory until they are needed; more are read back. Default 64 MiB. */
  readonly payloadMemory?: number;
  /** Calls that sleep for longer are left to the store until then. Default 60,000 ms. */
  readonly longSleep?: Milliseconds;
}

export type Settings = Required<Omit<SchedulerOptions, 'retry'>> & { readonly retry: RetryPolicy };

export function settingsOf(options: SchedulerOptions): Settings {
  return {
    run: options.run ?? true,
    concurrency: options.concurrency ?? 100,
    endpoints: options.endpoints ?? {},
    startsPerTurn: options.startsPerTurn ?? 500,
    runTimeout: options.runTimeout ?? 600_000,
    retry: options.retry ?? {},
    cancelGrace: options.cancelGrace ?? 60_000,
    retention: options.retention ?? 7 * 24 * 3_600_000,
    purgeInterval: options.purgeInterval ?? 300_000,
    payloadMemory: options.payloadMemory ?? 64 * 1024 * 1024,
    longSleep: options.longSleep ?? 60_000,
  };
}

/** Where the scheduler writes what someone should know: one line each, saying what to do. Nest's `Logger` is one. */
export interface SchedulerLog {
  log(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
