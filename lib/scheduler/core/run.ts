import type { Any } from '@bufbuild/protobuf/wkt';
import type { Checkpoint, JournalPosition, RunContext } from '../../protocol/index.js';
import type { Timestamp } from '../store.js';
import type { FunctionEntry } from './function-entry.js';
import type { CallRecord } from './record.js';

/** What a run asks of the scheduler while it is in flight, and its live instance afterwards. */
export interface RunHost {
  checkpoint(run: Run, checkpoint: Checkpoint): Promise<void>;
  wake(run: Run): void;
  released(run: Run): void;
}

/** One run of a call, from its start to its answer. It is the context that extended endpoints get. */
export class Run implements RunContext {
  readonly incarnation: number;
  readonly attempt: number;
  readonly position: JournalPosition;
  readonly stateOmitted: boolean;
  readonly cancelled: boolean;
  input: Any | undefined = undefined;

  /** The function that it counts against, which a tail call may replace meanwhile. */
  readonly fn: FunctionEntry;
  /** It goes on from a state. */
  readonly resumes: boolean;
  /** The last place of the inbox whose result it was given; what was delivered before, when it was given none. */
  lastPlace: number;
  /** Its live instance has asked for a resume before its answer was committed. */
  woken = false;
  /** Its live instance is given up. */
  isReleased = false;
  /** A poll of it is being looked into: its answer is there, and not yet applied. */
  answered = false;

  private controller: AbortController | undefined = undefined;

  constructor(
    readonly record: CallRecord,
    private readonly host: RunHost,
    readonly fence: number,
    readonly deadline: Timestamp,
    readonly extended: boolean,
    stateOmitted: boolean,
  ) {
    const { progress } = record;
    this.incarnation = progress.incarnation;
    this.attempt = progress.attempt + 1;
    this.position = record.position;
    this.stateOmitted = stateOmitted;
    this.cancelled = progress.cancelBy !== undefined && !record.told;
    this.fn = record.fn;
    this.resumes = record.hasState;
    this.lastPlace = progress.delivered;
  }

  /** Itself, for endpoints that speak the extension. */
  get context(): RunContext | undefined {
    return this.extended ? this : undefined;
  }

  /** Made when someone looks at it: most runs end before. */
  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    return this.controller.signal;
  }

  abort(reason: Error): void {
    this.controller ??= new AbortController();
    this.controller.abort(reason);
  }

  checkpoint(checkpoint: Checkpoint): Promise<void> {
    return this.host.checkpoint(this, checkpoint);
  }

  wake(): void {
    this.host.wake(this);
  }

  released(): void {
    this.isReleased = true;
    this.host.released(this);
  }
}
