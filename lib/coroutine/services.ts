import type { Status } from '../errors/index.js';
import type { Clock, RunContext } from '../protocol/index.js';
import type { CallResult } from '../gen/dispatch/sdk/v1/call_pb.js';
import type { TurnEnd } from './turn-end.js';

export interface RuntimeLog {
  debug(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** What all runs of a runtime share. */
export interface Services {
  readonly clock: Clock;
  /** 0 ≤ x < 1 */
  readonly random: () => number;
  readonly log: RuntimeLog;
  readonly turnEnd: TurnEnd;
  /** The address of this application, for calls of its own functions over the plain protocol. */
  readonly endpointUrl: string;
  readonly defaultErrorStatus: Status;
  /** Suspended instances stay in memory, where their own I/O may come back. */
  readonly keepsInstances: boolean;
  /** Calls that a function has made at once are recorded in parts of this many. */
  readonly callsPerCommit: number;
}

/** What one request brings. */
export interface Resumption {
  readonly results: readonly CallResult[];
  /** Undefined: the scheduler speaks the plain protocol. */
  readonly context: RunContext | undefined;
  /** The one that this run is. */
  readonly attempt: number;
  /** Asked for only when the function wants it: a signal is not cheap. */
  readonly signal: () => AbortSignal | undefined;
}
