import type { Any } from '@bufbuild/protobuf/wkt';
import type { CallResult } from '../gen/dispatch/sdk/v1/call_pb.js';
import type { Status } from '../gen/dispatch/sdk/v1/status_pb.js';
import type { JournalPosition } from '../protocol/index.js';

/** 32 hex digits, opaque to others. */
export type DispatchId = string;
/** Milliseconds since 1970. */
export type Timestamp = number;

export type CallState =
  | 'pending' // waits to run, from dueAt on (a run in flight is pending in the store: a crash makes it due again)
  | 'suspended' // waits for results or for wakeAt
  | 'incompatible' // its state fits no version that is here; waits for another one or for a retry by hand
  | 'succeeded'
  | 'failed'
  | 'cancelled';

export const isFinished = (state: CallState): boolean =>
  state === 'succeeded' || state === 'failed' || state === 'cancelled';

/** What never changes about a call while it has one incarnation. */
export interface CallHeader {
  readonly id: DispatchId;
  /** Empty for a root. */
  readonly parentId: DispatchId;
  /** Its own id for a root. */
  readonly rootId: DispatchId;
  /** The number that the parent gave to the call. 0n for a root. */
  readonly correlationId: bigint;
  /** The parent's incarnation that made the call: results for another one are not delivered. 0 for a root. */
  readonly parentIncarnation: number;
  readonly createdAt: Timestamp;
  /** Undefined: never. */
  readonly expiresAt: Timestamp | undefined;
  /** Ready calls of a higher one start before those of a lower one. A whole number; 0 for most. */
  readonly priority: number;
  /** Calls of a function that have the same key start only as its limit for each key allows. Empty: it has none. */
  readonly key: string;
  /**
   * Only in a `SharedStore`, where a tree may have several branches, each with a process of its own: the id of the call
   * that the branch begins with. Undefined: it is the branch of the root.
   */
  readonly branchId?: DispatchId | undefined;
}

/** What a call runs; a tail call replaces it. */
export interface CallTarget {
  readonly endpoint: string;
  readonly function: string;
  readonly version: string;
  readonly input: Any | undefined;
}

/** Where a call stands: all that changes from run to run, small and written often. */
export interface CallProgress {
  readonly state: CallState;
  /** When a pending call may run. */
  readonly dueAt: Timestamp;
  /** Runs since the last committed poll that ended in a retried failure. */
  readonly attempt: number;
  /** Process crashes during this call's runs, since the last run that came to an end. */
  readonly crashes: number;
  readonly incarnation: number;
  /** How much of the inbox (see FinishedCall.inbox) the call has durably taken in. */
  readonly delivered: number;
  /** Suspended: resume at this many results, with at most that many, or at wakeAt. */
  readonly minResults: number;
  readonly maxResults: number;
  readonly wakeAt: Timestamp | undefined;
  /** A cancellation that the call has yet to be told of or is carrying out, and until when it may. */
  readonly cancelBy: Timestamp | undefined;
}

/** How a call ended. */
export interface FinishedCall {
  readonly state: 'succeeded' | 'failed' | 'cancelled';
  /** `OK` if it has succeeded, and only then. */
  readonly status: Status;
  readonly result: CallResult;
  readonly finishedAt: Timestamp;
  /**
   * The result's place in the parent's inbox, counted from 1 for each incarnation of the parent; 0: not for the parent.
   * `UNPLACED`: the process that has the parent gives it a place.
   */
  readonly inbox: number;
}

/** The place of a result that another process is to take in. Only in a `SharedStore`. */
export const UNPLACED = -1;

/** A change of the store. A commit applies a list of them in order, all or none. */
export type Mutation =
  | {
      readonly type: 'create';
      readonly header: CallHeader;
      readonly target: CallTarget;
      readonly progress: CallProgress;
      /** Only in a `SharedStore`, for the call that a branch begins with: any process may claim it. Default: it is this process's. */
      readonly free?: boolean;
      /** Its id was given: others may make a call under it at the same time. */
      readonly given?: boolean;
    }
  | { readonly type: 'progress'; readonly id: DispatchId; readonly progress: CallProgress }
  /** A tail call or a restart: the target is replaced (where given), the journal removed. */
  | {
      readonly type: 'replace';
      readonly id: DispatchId;
      readonly target?: CallTarget;
      readonly progress: CallProgress;
      /** Only for finished roots in a `SharedStore`: any process may claim it. */
      readonly free?: boolean;
    }
  /** Appends to the call's journal; `position` is where it ends then. */
  | {
      readonly type: 'append';
      readonly id: DispatchId;
      readonly journal: Uint8Array;
      readonly position: JournalPosition;
      /** The version of the function that wrote it: `SharedStore` knows by it who can go on. Undefined: not known. */
      readonly code?: string | undefined;
    }
  /** Replaces the call's whole state (endpoints that do not speak the extension). `typed`: a `typed_coroutine_state`. */
  | {
      readonly type: 'state';
      readonly id: DispatchId;
      readonly state: Uint8Array;
      readonly typed: boolean;
      readonly code?: string | undefined;
    }
  /** Ends a call; its journal is removed. */
  | {
      readonly type: 'finish';
      readonly id: DispatchId;
      readonly finished: FinishedCall;
      /** False: it has none, and the store need not look for one. Default: it may have one. */
      readonly hasJournal?: boolean;
    }
  /** Removes finished calls for good. */
  | { readonly type: 'purge'; readonly ids: readonly DispatchId[] };

export type CreateMutation = Extract<Mutation, { type: 'create' }>;

/** One call as the store has it, without its input, journal and result. */
export interface CallRow {
  readonly header: CallHeader;
  readonly target: Omit<CallTarget, 'input'>;
  readonly progress: CallProgress;
  readonly position: JournalPosition;
  /** The journal is a whole state of an endpoint that does not speak the extension. */
  readonly foreignState: 'bytes' | 'typed' | undefined;
  /** Only in a `SharedStore`: the version of the function that wrote the journal, where that is known. */
  readonly code?: string | undefined;
  /** Only in a `SharedStore`: no process has it as long as enough others wait for its key. */
  readonly isSetAside?: boolean | undefined;
  /** Set on finished calls; the result is loaded by `results`. */
  readonly finished: Omit<FinishedCall, 'result'> | undefined;
}

/** Filters of `list`. All that are set must hold. */
export interface CallFilter {
  readonly state?: CallState | readonly CallState[];
  readonly function?: string;
  readonly rootId?: DispatchId;
  readonly parentId?: DispatchId;
  /** Only calls that have no parent. */
  readonly roots?: boolean;
  /** Bounds of time are as good as the clock: around a moment at which it went back, calls may be missing. */
  readonly createdAfter?: Timestamp;
  readonly createdBefore?: Timestamp;
}

export interface CallPage {
  readonly rows: CallRow[];
  /** Hand to the next `list` to go on; undefined on the last page. */
  readonly next: string | undefined;
}

/** What a scheduler finds when it starts. */
export interface Recovery {
  /** Every unfinished call, in the order of creation. */
  readonly calls: CallRow[];
  /** Inputs that the store has read anyway, of calls above; others are loaded by `input`. */
  readonly inputs?: ReadonlyMap<DispatchId, Any>;
  /**
   * Finished children whose results their unfinished parents have not taken in: inbox > parent's delivered and
   * parentIncarnation = parent's incarnation. By parent and inbox.
   */
  readonly undelivered: {
    readonly id: DispatchId;
    readonly parentId: DispatchId;
    readonly correlationId: bigint;
    readonly inbox: number;
  }[];
  /** Calls above that have their keys, in a `SharedStore`. */
  readonly withKey?: readonly DispatchId[];
  /** Calls whose runs were in flight when the last process ended without `close`. */
  readonly inFlight: DispatchId[];
  /** Only in a `SharedStore`: children that begin branches of their own, and whose results their parents above do not have. */
  readonly branches?: readonly BranchCall[];
  /** Only of a claim: what `requestedCancels` tells once it is done. */
  readonly toCancel?: readonly DispatchId[];
}

/** A call that begins a branch, as the process that has its parent knows it. */
export interface BranchCall {
  readonly id: DispatchId;
  readonly parentId: DispatchId;
  readonly correlationId: bigint;
  readonly parentIncarnation: number;
}

/** A branch whose first call has ended. */
export interface EndedBranch extends BranchCall {
  readonly state: FinishedCall['state'];
  /** Undefined: it is large, and is loaded by `results`. */
  readonly result: CallResult | undefined;
}

/** What a commit changes about branches in the hands of others. */
export interface BranchChanges {
  /** Results of branches that get their places in the inboxes of parents of this process. 0: nobody wants it. */
  readonly placed: readonly { readonly id: DispatchId; readonly inbox: number }[];
  /** Calls that whoever has them, now or later, is to cancel. */
  readonly cancelled: readonly DispatchId[];
  /** Calls of this process that take no results of branches any more, as they end. */
  readonly deaf: readonly DispatchId[];
  /** Calls of this process that any process may claim from now on, each with the call that its branch begins with, as in `CallHeader`. */
  readonly released: readonly { readonly id: DispatchId; readonly branchId: DispatchId | undefined }[];
}

/**
 * Keeps calls. One process owns a store, unless it is a `SharedStore`. All methods may be called while a commit is under
 * way and then see the state before or after it.
 *
 * Errors are `StoreError`s: what happened, where, and what to do.
 */
export interface Store {
  /** What the log calls it: `memory:`, or the path of a file. */
  readonly name: string;
  /** Takes ownership and brings the tables to the current version. */
  open(): Promise<void>;
  /** What there is to go on with. Nothing is written about calls of a former process before. */
  recover(): Promise<Recovery>;
  /**
   * Applies the mutations in order, all or none, and resolves when they are on disk (fsync). After a rejection nothing
   * of it is there.
   */
  commit(mutations: readonly Mutation[]): Promise<void>;
  /**
   * Notes which calls are being run, for the count of crashes: survives the death of the process, not of the machine,
   * and costs no fsync. Takes effect at once.
   */
  markRunning(started: readonly DispatchId[], ended: readonly DispatchId[]): void;
  get(id: DispatchId): Promise<CallRow | undefined>;
  list(filter: CallFilter, page: { readonly limit: number; readonly after?: string }): Promise<CallPage>;
  input(id: DispatchId): Promise<Any | undefined>;
  /** The whole journal or foreign state; empty when there is none. */
  journal(id: DispatchId): Promise<Uint8Array>;
  /** Results of finished calls, in the order of the ids; undefined for a call that is unknown or not finished. */
  results(ids: readonly DispatchId[]): Promise<(CallResult | undefined)[]>;
  /** Ids of roots that finished before then, with all calls of their trees, oldest first; at most `limit` ids. */
  finishedBefore(time: Timestamp, limit: number): Promise<DispatchId[]>;
  close(): Promise<void>;
}

/** A function, in the version that a process has. */
export interface RegisteredFunction {
  readonly endpoint: string;
  readonly function: string;
  /** Empty: none. */
  readonly version: string;
}

/** A function that a process runs, with the limits that it declares for it. */
export interface Registration extends RegisteredFunction {
  /** Runs at the same time. Undefined: it declares no limit. */
  readonly runs: number | undefined;
  /** Calls with the same key at the same time. Undefined: it declares none. */
  readonly perKey: number | undefined;
}

/** What is known of the end of a call that another process may have. */
export interface CallEnd {
  readonly id: DispatchId;
  readonly rootId: DispatchId;
  /** Undefined: it has not ended. */
  readonly finished: Omit<FinishedCall, 'inbox' | 'finishedAt'> | undefined;
}

/** A function of which calls wait, and that no process has. */
export interface UnservedFunction {
  readonly endpoint: string;
  readonly function: string;
  /** How many of them wait, as far as they were counted. */
  readonly calls: number;
}

export interface UnservedSearch {
  /** One of the calls was made so many milliseconds ago, at least. */
  readonly waiting: number;
  /** So many functions, at most. */
  readonly limit: number;
  /** So many calls of each are counted, at most. */
  readonly count: number;
}

/** Which calls a process can run. */
export interface ClaimableFunctions {
  /** Endpoints of which only the functions below can be run here. Calls of any other endpoint can be run anywhere. */
  readonly endpoints: readonly string[];
  readonly functions: readonly {
    readonly endpoint: string;
    readonly function: string;
    /** Calls of it that are claimed at a time, at most. Default: any number. */
    readonly most?: number | undefined;
  }[];
}

/** A key, which belongs to a function. */
export interface FunctionKey {
  readonly endpoint: string;
  readonly function: string;
  readonly key: string;
}

/** A call that wants its key, or has it. */
export interface KeyedCall extends FunctionKey {
  readonly id: DispatchId;
  /** Calls of the function that may have the key at a time. */
  readonly perKey: number;
}

/** What a process wants of the runs that a function may have in all processes together. */
export interface SlotDemand {
  readonly endpoint: string;
  readonly function: string;
  /** How many there may be, as far as this process knows: the least that any declares holds. */
  readonly limit: number;
  /** Runs that it could have at the same time, with those in flight. */
  readonly wanted: number;
  /** Runs that it may have until it is answered: never more than `held` was. */
  readonly inUse: number;
  /** It has had its turn: where there is not a slot for each, others come first. */
  readonly yields: boolean;
  /** It has waited since it asked before: those who have slots may not have heard of it, and are told again. */
  readonly again: boolean;
}

/** What it has of them. */
export interface SlotShare {
  /** Runs that it may have from now on. */
  readonly slots: number;
  /** What others count for it: more than `slots` while more are in use. Say so when they are not any more. */
  readonly held: number;
  /** What others wait for: nothing, slots that have no use here, or their turn with those that have. */
  readonly others: 'content' | 'want more' | 'want a turn';
}

/** What a store tells the process that it works for. It may be told at any time while the store is open. */
export interface SharedStoreListener {
  /** There may be branches to claim. */
  claimable(): void;
  /** Another process has more than enough to do. */
  workOffered(by: number): void;
  /** Another process has too little to do, and would like so many calls of this one. */
  workWanted(count: number): void;
  /** Another process has registered its functions. */
  functionsChanged(): void;
  /** A call that is watched has ended, or may have: notifications can be lost. */
  ended(id: DispatchId): void;
  /** Branches may have ended whose results are for calls of this process: ask `endedBranches`. */
  branchesEnded(): void;
  /** A call of this process is to be cancelled: ask `requestedCancels`. */
  cancelRequested(): void;
  /** A call that was in line has its key. */
  keyGiven(id: DispatchId): void;
  /** Other processes want slots that this one has, or have given back some that it waits for. */
  slotsChanged(): void;
  /** `isOutOfTouch` was true, and is no longer: nobody had taken over the calls of this process. */
  leaseRegained(): void;
  /** Others may have taken over the calls of this process: see `StoreOwnershipLostError`. */
  ownershipLost(): void;
  /** One line for the log. */
  warn(message: string): void;
}

/**
 * A store that several processes share. Each has calls of its own: those that it created and those that it claimed. They
 * are claimed by branches: a root, or another call that was created free, with all below it up to where other branches begin. When
 * a process dies, others claim what it had; what it still tries to write then is refused.
 */
export interface SharedStore extends Store {
  /** How long, in milliseconds, a process that shows no sign of life keeps its calls. */
  readonly lease: number;
  /** The lease is over, as far as is known here: others may have the calls of this process, and nothing more of them is to begin. */
  readonly isOutOfTouch: boolean;
  /**
   * Registers the process, under a new identity each time.
   * @param member.runs whether it runs calls, rather than only dispatch them
   */
  open(member?: { readonly runs: boolean; readonly listener: SharedStoreListener }): Promise<void>;
  /** Registers the process again, under a new identity, after it has lost its ownership. */
  rejoin(): Promise<void>;
  /**
   * Says which functions this process runs, until it says otherwise or is no more: in place of what it said before, and
   * again under each new identity.
   */
  register(functions: readonly Registration[]): Promise<void>;
  /** What the other processes have registered that are alive: once, with the lowest limits of those that declare any. */
  registeredElsewhere(): Promise<Registration[]>;
  /**
   * Functions that no living process has, and of which calls wait. Of all processes only one is told: the one that has been
   * there longest.
   * @param endpoints of which it is known that processes say which functions they have
   */
  unserved(endpoints: readonly string[], search: UnservedSearch): Promise<UnservedFunction[]>;
  /** Claims all that is claimable, whatever its function, and returns all that this process has. */
  recover(): Promise<Recovery>;
  /**
   * Takes over branches that no living process has, at most so many, and returns what is in them. While several priorities
   * are there, nine in ten are of the highest; within a priority endpoints have equal parts, and so have the functions of
   * an endpoint. Of one function and priority the oldest go first.
   * One whose first call has a journal goes to a process with the version that wrote it, while one is there. Of calls that
   * wait for a key, processes get a few at a time: the others are set aside, and claimed in their order as that line shortens.
   */
  claim(limit: number, functions: ClaimableFunctions): Promise<Recovery>;
  /** Tells the other processes that this one has more than enough to do. */
  offerWork(): Promise<void>;
  /** Tells the process that has offered it that this one would like so many calls. */
  askForWork(process: number, count: number): Promise<void>;
  commit(mutations: readonly Mutation[], branches?: BranchChanges): Promise<void>;
  /** Branches that have ended, at most so many, and whose results are for calls of this process, which has not placed them. */
  endedBranches(limit: number): Promise<EndedBranch[]>;
  /**
   * Puts calls of this process in line for their keys, takes those out that have ended, and gives keys to those who are
   * first in line, whoever's they are. A call keeps its place, and its key, until it leaves or ends, whoever has it by then.
   *
   * @returns calls of this process that have any of these keys now; the listener hears of others once they have
   */
  shareKeys(wanting: readonly KeyedCall[], leaving: readonly KeyedCall[]): Promise<DispatchId[]>;
  /**
   * Makes calls claimable that `claim` has set aside, where too few others wait for their keys. Leaving calls do that for
   * their keys; this is for all, as who should have left may be no more. Of all processes the one does it that has been there
   * longest.
   */
  callUp(): Promise<void>;
  /**
   * Divides the runs that functions may have among the processes that want some: `held` of all that are there is never more
   * than the limit. The listeners of those who get more by it, or are to give some back, hear of it.
   *
   * @returns what this process has, in the order of the demands
   */
  shareSlots(demands: readonly SlotDemand[]): Promise<SlotShare[]>;
  /** How these calls have ended; those that are unknown are left out. */
  ends(ids: readonly DispatchId[]): Promise<CallEnd[]>;
  /** Removes what nobody can reach any more: of processes that are gone, and of calls that have ended. */
  sweep(): Promise<void>;
  /** How many other processes share the work. */
  others(): Promise<number>;
  /** The listener hears of the ends of these calls from now on, until `unwatch`. */
  watch(ids: readonly DispatchId[]): Promise<void>;
  unwatch(ids: readonly DispatchId[]): Promise<void>;
  /** Has the process that has the call, now or later, cancel it. */
  requestCancel(id: DispatchId): Promise<void>;
  /** Calls of this process that are to be cancelled. */
  requestedCancels(): Promise<DispatchId[]>;
  /** These were cancelled. */
  forgetCancels(ids: readonly DispatchId[]): Promise<void>;
}

/** A call that is there already, as far as it is compared with one that is to be made under its id. */
export interface KnownCall {
  readonly id: DispatchId;
  readonly endpoint: string;
  readonly function: string;
  readonly incarnation: number;
  readonly input: Any | undefined;
}

/** A transaction that the application has begun, in the database of the store, and that it will end. */
export interface CallerTransaction {
  /**
   * Sends a statement in it, and resolves with the only column of the only row of the answer, which is a text. Parameters
   * stand as `$1` and so on, and are texts.
   */
  ask(text: string, values: readonly string[]): Promise<string>;
}

/** A store that can write roots in a transaction of the application: they are there if and only if that is committed. */
export interface JoiningStore extends SharedStore {
  /**
   * Makes roots that any process may claim. Of those that are there already nothing is written.
   *
   * @param given ids that others may dispatch as well: they are `reserved` until the transaction has ended
   * @param accept is handed each call that is there already; it throws to refuse
   * @throws InvalidArgumentError when the transaction cannot hold them; errors of the application's own connection pass
   * as they are
   */
  createIn(
    transaction: CallerTransaction,
    roots: readonly CreateMutation[],
    given: readonly DispatchId[],
    accept: (known: KnownCall) => void,
  ): Promise<void>;
  /**
   * Which of these ids open transactions of applications may be about to make: a commit with them would wait until those
   * have ended. Now and then one more.
   */
  reserved(ids: readonly DispatchId[]): Promise<DispatchId[]>;
}

export const isJoining = (store: Store): store is JoiningStore => 'createIn' in store;

/** Whether processes share the store, so that calls may be in the hands of others. */
export const isShared = (store: Store): store is SharedStore => 'claim' in store;

/** The store cannot do its work. The message names the store and says what to do. */
export class StoreError extends Error {
  override readonly name: string = 'StoreError';
}
/** Another process owns the store's file. */
export class StoreLockedError extends StoreError {
  override readonly name = 'StoreLockedError';
}
/** The tables are those of another version, or are not there yet, and were to be left as they are. */
export class StoreOutdatedError extends StoreError {
  override readonly name = 'StoreOutdatedError';
}
/** A call with that id is in the store already: in a `SharedStore` another process may have made it. Nothing of the commit was stored. */
export class StoreConflictError extends StoreError {
  override readonly name = 'StoreConflictError';
}
/** A call with that id may be about to be in the store: someone else's transaction that makes one is open. Nothing of the commit was stored. */
export class StoreReservedError extends StoreError {
  override readonly name = 'StoreReservedError';
}
/** The file is not a store of ours, is damaged, or was written by a newer version. */
export class StoreCorruptError extends StoreError {
  override readonly name = 'StoreCorruptError';
}
/** The disk is full or cannot be written. */
export class StoreWriteError extends StoreError {
  override readonly name = 'StoreWriteError';
}
/**
 * The process was out of touch for so long that its calls were given to others, who go on with them. Nothing of the commit
 * was stored.
 */
export class StoreOwnershipLostError extends StoreError {
  override readonly name = 'StoreOwnershipLostError';
}
