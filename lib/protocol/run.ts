import type { Any } from '@bufbuild/protobuf/wkt';
import type { Call } from '../gen/dispatch/sdk/v1/call_pb.js';
import type { RunRequest, RunResponse } from '../gen/dispatch/sdk/v1/function_pb.js';

/**
 * What our scheduler and our runtime tell each other beyond the protocol's RunRequest and RunResponse, so that the cost
 * of a step does not grow with the length of a function. Neither side needs it: without it a run is a plain exchange of
 * the Dispatch protocol, with the whole state in every message.
 */

/** How much of a call's journal is committed. Two sides that name the same position hold the same bytes. */
export interface JournalPosition {
  readonly bytes: number;
  /** CRC-32 of all bytes so far (a running one: of the new bytes, seeded with the former). 0 for an empty journal. */
  readonly digest: number;
}

export const EMPTY_JOURNAL: JournalPosition = { bytes: 0, digest: 0 };

/** New rounds of a function that goes on running: they are committed without suspending it. */
export interface Checkpoint {
  /** Bytes to append to the journal. */
  readonly journal: Uint8Array;
  /** Where the journal ends after them. */
  readonly position: JournalPosition;
  /** Calls made in these rounds, to be started as children. */
  readonly calls: readonly Call[];
}

/** The scheduler's side of one run. */
export interface RunContext {
  /** Which beginning of the call this is: 1 for the first, one more for each restart and tail call. */
  readonly incarnation: number;
  /** Runs since the last committed poll, this one included. */
  readonly attempt: number;
  /** Grows with every run of the call; answers of an older run are ignored. */
  readonly fence: number;
  /** How much of the journal the scheduler has committed. */
  readonly position: JournalPosition;
  /** The poll result carries no state, because this process is thought to hold the live instance. */
  readonly stateOmitted: boolean;
  /** The call's input, for a resume that may have to replay (then the journal holds none). */
  readonly input?: Any;
  /** When the call is to be cancelled: pending durable operations reject with `CancelledError`. */
  readonly cancelled?: boolean;
  /** Commits new rounds. Resolves when they are durable; rejects with `StaleRunError` when the run is no longer the call's. */
  checkpoint(checkpoint: Checkpoint): Promise<void>;
  /** A suspended live instance has something to do (its own I/O came back): asks for a resume. Harmless at any time. */
  wake(): void;
  /** This process has given up its live instance: a resume needs the state. Harmless at any time. */
  released(): void;
}

/** What a run answers. */
export interface RunAnswer {
  readonly response: RunResponse;
  /**
   * Set when the poll's `coroutine_state` holds only what is to be appended to the journal; where it then ends.
   * Absent: the state is whole and replaces what was there.
   */
  readonly appended?: JournalPosition;
  /** The process has not the live instance that `stateOmitted` counted on: send the request again, with the state. */
  readonly stateMissing?: boolean;
  /** The other side asked for so much time before the next attempt (HTTP `Retry-After`). Milliseconds. */
  readonly retryAfter?: number;
  /** The failure is one that came to the function as a result: another run would only repeat it. */
  readonly final?: boolean;
  /** The function ran, or its application at least: a failure is its own, and says nothing of the way to it. */
  readonly ran?: boolean;
}

/** Runs functions: the one entry of an application, for all transports. */
export interface FunctionRunner {
  /**
   * Runs a function until it exits or suspends. Never rejects for what user code does.
   * @param options.signal fires when the run is over for the scheduler (deadline, cancellation, a client that went away)
   * @param options.attempt the one that this is, where there is no context to say it. Default 1
   */
  run(
    request: RunRequest,
    options?: { context?: RunContext; signal?: AbortSignal | undefined; attempt?: number | undefined },
  ): Promise<RunAnswer>;
}

/** The run is not the call's current one any more; whatever it does has no effect. */
export class StaleRunError extends Error {
  override readonly name = 'StaleRunError';
}
