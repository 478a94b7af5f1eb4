import type { Any } from '@bufbuild/protobuf/wkt';
import type { Status } from '../../errors/index.js';
import type { CallResult } from '../../gen/dispatch/sdk/v1/call_pb.js';
import type { CallState, DispatchId, Timestamp } from '../store.js';
import type { Namespace } from './ids.js';
import type { Milliseconds } from './options.js';

/** A call to dispatch. It has no parent: it is the root of a tree of its own. */
export interface NewCall {
  /** The application that has the function. */
  readonly endpoint: string;
  /** `^[a-zA-Z_][a-zA-Z0-9_<>.]*$` */
  readonly function: string;
  /** The version of the function that must run it. Default: any. */
  readonly version?: string;
  readonly input?: Any;
  /** How long after its creation the call may be attempted. Default: for ever. */
  readonly expiration?: Milliseconds;
  /** When it is to start. Default: at once. */
  readonly dueAt?: Timestamp;
  /** Ready calls of a higher priority start first. A whole number from -100 to 100. Default: 0. */
  readonly priority?: number;
  /** Calls of the function with the same key start only as its `concurrency.perKey` allows. Default: none. */
  readonly key?: string;
  /** 32 hex digits. A call that has this id already is the same call: nothing is created. Default: a new id. */
  readonly id?: DispatchId;
  /** Whose call it is, with all that it calls (`namespaceTag`); new ids tell it. Default: nobody's in particular. */
  readonly namespace?: Namespace;
}

/** How a call ended. */
export interface CallOutcome {
  readonly id: DispatchId;
  readonly rootId: DispatchId;
  readonly state: 'succeeded' | 'failed' | 'cancelled';
  readonly status: Status;
  readonly result: CallResult;
}

export interface WaitOptions {
  /** Milliseconds after which the wait (not the call) ends with a `TimeoutError`. Default: never. */
  readonly timeout?: Milliseconds;
  /** Ends the wait (not the call) with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What an unfinished call waits for. */
export type CallWaitsFor =
  | 'time' // its `dueAt`: it was delayed, or is in backoff after a failed run
  | 'turn' // other calls before it, or a free slot
  | 'key' // other calls of its function that have its key
  | 'endpoint' // an endpoint that does not answer, or that has asked to be left alone for a while
  | 'results' // of its children
  | 'function' // a process that has the function: none of those that share the store has it
  | 'version'; // a version of the function that its state fits

/** A call, as one looks at it from outside. */
export interface CallInfo {
  readonly id: DispatchId;
  /** Undefined for a root. */
  readonly parentId: DispatchId | undefined;
  readonly rootId: DispatchId;
  readonly endpoint: string;
  readonly function: string;
  readonly version: string;
  /** What is committed, and `running` while a run is under way. */
  readonly state: CallState | 'running';
  /** Undefined when it is running or finished. */
  readonly waitsFor: CallWaitsFor | undefined;
  /** When it is to run, or resumes at the latest. Undefined when nothing but results lets it go on. */
  readonly dueAt: Timestamp | undefined;
  /** Set once it has finished. */
  readonly status: Status | undefined;
  readonly createdAt: Timestamp;
  readonly expiresAt: Timestamp | undefined;
  readonly finishedAt: Timestamp | undefined;
  /** Its own, or that of the call which made it. */
  readonly priority: number;
  /** Undefined where it has none. */
  readonly key: string | undefined;
  /** Failed runs since it last suspended itself. */
  readonly attempt: number;
  /** Times that the process ended while it was running, in a row. */
  readonly crashes: number;
  /** Counts its beginnings: 1 for the first, one more for each restart and tail call. */
  readonly incarnation: number;
  /** It was cancelled and is cleaning up. */
  readonly cancelling: boolean;
}

export interface CallInfoPage {
  readonly calls: CallInfo[];
  /** Hand to the next `list` as `after`; undefined on the last page. */
  readonly next: string | undefined;
}

/** The unfinished calls of a scheduler, counted. */
export interface Census {
  /** A run is under way. */
  readonly running: number;
  /** Nothing but other calls before them, or a limit, keeps them from running. */
  readonly ready: number;
  /** They wait for their time, or are in backoff. */
  readonly delayed: number;
  /** They wait for results or for a timer. */
  readonly suspended: number;
  /** No version is here that their state fits. */
  readonly incompatible: number;
  /** The store fails at the moment: nothing starts until it works again. */
  readonly storeFails: boolean;
}
