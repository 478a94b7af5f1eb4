import type { Any } from '@bufbuild/protobuf/wkt';
import type { CallResult } from '../../gen/dispatch/sdk/v1/call_pb.js';
import type { JournalPosition } from '../../protocol/index.js';
import type { CallHeader, CallProgress, CallRow, DispatchId, FinishedCall, Timestamp } from '../store.js';
import { EMPTY_JOURNAL } from '../../protocol/index.js';
import { type Deque } from './deque.js';
import type { Branch } from './branches.js';
import type { FunctionEntry } from './function-entry.js';
import type { Key } from './key-queues.js';
import type { RingItem } from './ring.js';
import type { Run } from './run.js';
import type { Timed } from './timer-heap.js';
import type { Lane } from './turns.js';

/** Where calls wait for their turn. */
export interface CallQueue {
  /** Takes out a call that is not to run any more. */
  remove(call: CallRecord): void;
}

/** A committed result that its parent has not taken in. */
export interface InboxItem {
  readonly place: number;
  readonly id: DispatchId;
  readonly correlationId: bigint;
  /** Undefined when it is to be read from the store. */
  readonly result: CallResult | undefined;
  /** Bytes that the held result counts for. */
  readonly bytes: number;
}

/** What a failed commit brings back. */
export interface Snapshot {
  readonly progress: CallProgress;
  readonly position: JournalPosition;
  readonly foreignState: CallRow['foreignState'];
  readonly fn: FunctionEntry;
  readonly version: string;
  readonly told: boolean;
  readonly suspendedBy: number;
  readonly inboxEnd: number;
  readonly highestCorrelation: bigint | undefined;
}

/** The number before every correlation id: what a call that has made no call yet has as its highest one. */
export const NO_CORRELATION = -1n;

/**
 * An unfinished call, in memory: without its journal, and mostly without its input. What it says of the call is what the
 * store says, or will say once the commits under way are done.
 */
export class CallRecord implements Timed, RingItem<CallRecord> {
  progress: CallProgress;
  position: JournalPosition = EMPTY_JOURNAL;
  foreignState: CallRow['foreignState'] = undefined;
  /** The version of the function that wrote the journal, where that is known. */
  code: string | undefined = undefined;
  /** Set when it has ended; what is told to others has to wait for the commit. */
  finished: FinishedCall | undefined = undefined;

  /** null: it has none. Undefined: it is not held here, the store has it. */
  input: Any | null | undefined = undefined;

  parent: CallRecord | undefined = undefined;
  /** Children whose end is not committed, of earlier incarnations too. */
  children: Set<CallRecord> | undefined = undefined;
  /** Children in the hands of other processes, of earlier incarnations too. */
  branches: Map<DispatchId, Branch> | undefined = undefined;
  /** Those of both that are of the current incarnation. */
  outstanding = 0;
  /** Committed results that are not known to be taken in, in order of completion. */
  inbox: Deque<InboxItem> | undefined = undefined;
  /** The last place of the inbox that was given to a result, in this incarnation. */
  inboxEnd = 0;
  /** The place of the last result that is, or may be, a failure. */
  failedPlace = 0;
  /** The incarnation that the inbox is for. */
  inboxIncarnation = 0;
  /** No call with a higher correlation id was made by this incarnation. Undefined: not known. */
  highestCorrelation: bigint | undefined = NO_CORRELATION;

  /** The run that is in flight. */
  run: Run | undefined = undefined;
  /** The fence of the last run. */
  fence = 0;
  /** The fence of the last run whose poll was taken in. Where it is another than the last run's, that came to nothing. */
  suspendedBy = 0;
  /** The last run ended with a poll, so that its process may hold the live instance. */
  warm = false;
  /** Its live instance has asked for a resume. */
  woken = false;
  /** A cancellation has been told to it, and it has answered. */
  told = false;
  /** The queue in which it waits: for its key, or for a run. */
  queue: CallQueue | undefined = undefined;
  /** Its place among the ready calls. */
  lane: Lane | undefined = undefined;
  next: CallRecord | undefined = undefined;
  previous: CallRecord | undefined = undefined;
  /** The key that it holds. */
  key: Key | undefined = undefined;
  /** It is a native wait that waits. */
  waiting = false;
  /** It may run although the commit that creates it is not done. */
  speculative = false;
  /** It is being given up to other processes: nothing is done about it here any more. */
  leaving = false;

  /** The last batch of mutations that changes it; committed when that batch is. */
  batch = 0;
  at: Timestamp = Infinity;
  heapIndex = -1;

  constructor(
    readonly header: CallHeader,
    public fn: FunctionEntry,
    public version: string,
    progress: CallProgress,
  ) {
    this.progress = progress;
  }

  get id(): DispatchId {
    return this.header.id;
  }

  /** Whether its next run goes on from a state, rather than from its input. */
  get hasState(): boolean {
    return this.progress.minResults > 0 || this.position.bytes > 0;
  }

  get isCancelling(): boolean {
    return this.progress.cancelBy !== undefined;
  }

  get undelivered(): number {
    return this.inbox?.size ?? 0;
  }

  /** A restart or a tail call: nothing of what it did counts any more. */
  beginAgain(): void {
    this.position = EMPTY_JOURNAL;
    this.foreignState = undefined;
    this.outstanding = 0;
    this.inboxEnd = 0;
    this.failedPlace = 0;
    this.highestCorrelation = NO_CORRELATION;
    this.warm = false;
    this.woken = false;
    this.told = false;
  }

  snapshot(): Snapshot {
    return {
      progress: this.progress,
      position: this.position,
      foreignState: this.foreignState,
      fn: this.fn,
      version: this.version,
      told: this.told,
      suspendedBy: this.suspendedBy,
      inboxEnd: this.inboxEnd,
      highestCorrelation: this.highestCorrelation,
    };
  }

  restore(snapshot: Snapshot): void {
    this.progress = snapshot.progress;
    this.position = snapshot.position;
    this.foreignState = snapshot.foreignState;
    this.version = snapshot.version;
    this.told = snapshot.told;
    this.suspendedBy = snapshot.suspendedBy;
    this.inboxEnd = snapshot.inboxEnd;
    this.highestCorrelation = snapshot.highestCorrelation;
    this.finished = undefined;
    this.leaving = false;
    this.warm = false;
    this.woken = false;
    this.waiting = false;
    this.outstanding = 0;
    for (const child of this.children ?? []) {
      if (child.header.parentIncarnation === this.progress.incarnation) this.outstanding += 1;
    }
    for (const branch of this.branches?.values() ?? []) {
      if (branch.isOutstanding) this.outstanding += 1;
    }
  }
}
