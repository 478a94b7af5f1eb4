import type { RunRequest } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { RunAnswer, RunContext } from '../protocol/index.js';
import type { Timestamp } from './store.js';

/** Carries runs to the applications that have the functions. */
export interface Transport {
  /**
   * Whether runs of this endpoint speak the extension of RunContext. Where not, every resume carries the whole state
   * and answers carry it back.
   */
  extended(endpoint: string): boolean;
  /**
   * Whether it sees by itself to what each endpoint can read of inputs and results. Where not, the scheduler keeps messages
   * of our own from endpoints that are not `extended`.
   */
  readonly adapts?: boolean;
  /**
   * Runs one request. What goes wrong on the way is an answer with a status (DNS_ERROR, TCP_ERROR, …), not a rejection.
   * `context` is given where `extended(endpoint)`.
   */
  run(endpoint: string, request: RunRequest, options: RunOptions): Promise<RunAnswer>;
}

export interface RunOptions {
  readonly context?: RunContext;
  readonly signal: AbortSignal;
  /** When the signal fires because the run's time is over. */
  readonly deadline?: Timestamp;
  /** As in `RunContext`, for endpoints without one. */
  readonly attempt?: number;
}
