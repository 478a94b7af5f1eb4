import type { Any } from '@bufbuild/protobuf/wkt';
import type { JournalPosition } from '../../protocol/index.js';
import type {
  BranchChanges,
  CallHeader,
  CallProgress,
  CallTarget,
  DispatchId,
  FinishedCall,
  Mutation,
} from '../store.js';
import type { Branch } from './branches.js';
import type { Departure } from './departures.js';
import type { CallRecord, Snapshot } from './record.js';

/** Someone who waits until a batch is on disk. */
export interface Acknowledgement {
  resolve(): void;
  reject(error: unknown): void;
}

/** The mutations of one commit, and what has to happen once it is done or has failed. */
export class Batch {
  readonly mutations: Mutation[] = [];
  /** Every call that it changes, once each. */
  readonly touched: CallRecord[] = [];
  /** What these calls were before it; undefined: they did not exist. */
  readonly before: (Snapshot | undefined)[] = [];
  /** Calls that it ends, and results that it takes in from branches, in order. */
  readonly ended: (CallRecord | Branch)[] = [];
  /** Branches that it makes. */
  readonly made: Branch[] = [];
  /** What it gives up. */
  readonly departures: Departure[] = [];
  private changes: Changes | undefined;
  /** Calls whose running code is to hear of a cancellation. */
  readonly cancelled: CallRecord[] = [];
  readonly acknowledgements: Acknowledgement[] = [];
  /** Roots that it makes. */
  roots = 0;

  constructor(readonly sequence: number) {}

  get isEmpty(): boolean {
    return this.mutations.length === 0 && this.changes === undefined && this.acknowledgements.length === 0;
  }

  get branches(): BranchChanges | undefined {
    return this.changes;
  }

  changeBranches(): Changes {
    return (this.changes ??= { placed: [], cancelled: [], deaf: [], released: [] });
  }
}

/** `BranchChanges` that are being collected. */
type Changes = { readonly [what in keyof BranchChanges]: BranchChanges[what][number][] };

/** What the commit log needs of the scheduler. */
export interface CommitHost {
  commit(mutations: readonly Mutation[], branches: BranchChanges | undefined): Promise<void>;
  committed(batch: Batch): void;
  /** Nothing of these batches is in the store. */
  lost(batches: readonly Batch[], error: unknown): void;
  /** There is something to flush: call `flush` when the turn of the event loop is over. */
  requestTurn(): void;
}

/**
 * Group commit. Calls are changed in memory at once, and what changed is collected. One commit is under way at a time;
 * what is changed meanwhile goes into the next. When a commit fails, all that is not in the store is taken back.
 */
export class CommitLog {
  private current = new Batch(1);
  private writing: Batch | undefined;
  private waiters: (() => void)[] = [];
  private takers: (() => void)[] = [];

  constructor(private readonly host: CommitHost) {}

  get isIdle(): boolean {
    return this.writing === undefined && this.current.isEmpty;
  }

  /** No commit is under way, and nobody waits for one. */
  get isResting(): boolean {
    return this.writing === undefined && !this.isAwaited;
  }

  /** Roots that wait for the next commit. */
  get newRoots(): number {
    return this.current.roots;
  }

  /** All other mutations that do. */
  get backlog(): number {
    return this.current.mutations.length - this.current.roots;
  }

  /** Someone waits for the next commit to succeed or fail. */
  get isAwaited(): boolean {
    return this.current.acknowledgements.length > 0;
  }

  /** Whether all that is known of the call is in the store. */
  isCommitted(record: CallRecord): boolean {
    return record.batch < (this.writing ?? this.current).sequence;
  }

  /** @param given see the mutation */
  create(record: CallRecord, input: Any | undefined, given = false): void {
    this.appear(record);
    const { header, progress, fn, version } = record;
    const target = { endpoint: fn.endpoint, function: fn.name, version, input };
    this.add({ type: 'create', header, target, progress, given });
  }

  /** A child that any process may claim. */
  createBranch(branch: Branch, header: CallHeader, target: CallTarget, progress: CallProgress): void {
    this.current.made.push(branch);
    this.createFree(header, target, progress);
  }

  /** The result of a branch gets its place in the inbox of its parent. */
  placeBranch(branch: Branch, inbox: number): void {
    this.current.ended.push(branch);
    this.current.changeBranches().placed.push({ id: branch.call.id, inbox });
    this.host.requestTurn();
  }

  /** Another process has the call, or will have it, and is to cancel it. */
  cancelBranch(id: DispatchId): void {
    this.current.changeBranches().cancelled.push(id);
    this.host.requestTurn();
  }

  /** Other processes may claim these calls. */
  release(departure: Departure): void {
    this.current.departures.push(departure);
    for (const record of departure.records) {
      this.touch(record);
      this.current.changeBranches().released.push({ id: record.id, branchId: departure.branchId });
    }
    this.host.requestTurn();
  }

  /** A root that is not for this process: any other may claim it. */
  createFree(header: CallHeader, target: CallTarget, progress: CallProgress, given = false): void {
    this.add({ type: 'create', header, target, progress, free: true, given });
  }

  /** A finished call begins again. */
  revive(record: CallRecord): void {
    this.appear(record);
    this.add({ type: 'replace', id: record.id, progress: record.progress });
  }

  /** The same for a root that is not for this process. */
  reviveFree(id: DispatchId, progress: CallProgress): void {
    this.add({ type: 'replace', id, progress, free: true });
  }

  progress(record: CallRecord, progress: CallProgress): void {
    this.touch(record);
    record.progress = progress;
    this.add({ type: 'progress', id: record.id, progress });
  }

  /** A restart: the call begins again from its input. */
  restart(record: CallRecord, progress: CallProgress): void {
    this.touch(record);
    record.progress = progress;
    this.add({ type: 'replace', id: record.id, progress });
  }

  /** A tail call: `record.fn` and `record.version` have been replaced; `touch` was called before. */
  replace(record: CallRecord, progress: CallProgress, input: Any | undefined): void {
    record.progress = progress;
    const { fn, version } = record;
    const target = { endpoint: fn.endpoint, function: fn.name, version, input };
    this.add({ type: 'replace', id: record.id, target, progress });
  }

  append(record: CallRecord, journal: Uint8Array, position: JournalPosition): void {
    this.touch(record);
    record.position = position;
    record.foreignState = undefined;
    record.code = codeOf(record);
    this.add({ type: 'append', id: record.id, journal, position, code: record.code });
  }

  state(record: CallRecord, state: Uint8Array, typed: boolean, position: JournalPosition): void {
    this.touch(record);
    record.position = position;
    record.foreignState = typed ? 'typed' : 'bytes';
    record.code = codeOf(record);
    this.add({ type: 'state', id: record.id, state, typed, code: record.code });
  }

  finish(record: CallRecord, finished: FinishedCall): void {
    this.touch(record);
    record.finished = finished;
    this.current.ended.push(record);
    if (record.branches !== undefined) this.current.changeBranches().deaf.push(record.id);
    this.add({ type: 'finish', id: record.id, finished, hasJournal: record.position.bytes > 0 });
  }

  purge(ids: readonly DispatchId[]): void {
    this.add({ type: 'purge', ids });
  }

  /** Has the running code of a call hear of its cancellation, once that is committed. */
  signalCancelled(record: CallRecord): void {
    this.current.cancelled.push(record);
  }

  /** Remembers what the call is now, before the current batch changes it. */
  touch(record: CallRecord): void {
    const { current } = this;
    if (record.batch === current.sequence) return;
    record.batch = current.sequence;
    current.touched.push(record);
    current.before.push(record.snapshot());
  }

  /** Hears of the batch that is being collected, once it is on disk or has failed. */
  acknowledge(acknowledgement: Acknowledgement): void {
    this.current.acknowledgements.push(acknowledgement);
    this.host.requestTurn();
  }

  /** Resolves when what is known now is on disk; rejects when it could not be written. */
  durable(): Promise<void> {
    return new Promise((resolve, reject) => this.acknowledge({ resolve, reject }));
  }

  /** Resolves when what is being collected is being written, or is lost. */
  taken(): Promise<void> {
    return new Promise((resolve) => this.takers.push(resolve));
  }

  /** Resolves when no commit is under way and none is needed. */
  async drain(): Promise<void> {
    while (!this.isIdle) {
      this.flush();
      if (this.writing) await new Promise<void>((resolve) => this.waiters.push(resolve));
    }
  }

  flush(): void {
    if (this.writing !== undefined || this.current.isEmpty) return;
    const batch = this.collected();
    this.writing = batch;
    this.write(batch).then(
      () => this.succeeded(batch),
      (error: unknown) => this.failed(batch, error),
    );
  }

  private write({ mutations, branches }: Batch): Promise<void> {
    const isEmpty = mutations.length === 0 && branches === undefined;
    return isEmpty ? Promise.resolve() : this.host.commit(mutations, branches);
  }

  private succeeded(batch: Batch): void {
    this.writing = undefined;
    this.host.committed(batch);
    for (const acknowledgement of batch.acknowledgements) acknowledgement.resolve();
    this.settled();
  }

  /** What was collected meanwhile builds on what is lost, so it goes as well. */
  private failed(batch: Batch, error: unknown): void {
    const collected = this.collected();
    this.writing = undefined;
    this.host.lost([batch, collected], error);
    for (const { acknowledgements } of [batch, collected]) {
      for (const acknowledgement of acknowledgements) acknowledgement.reject(error);
    }
    this.settled();
  }

  /** Hands out the batch that was being collected: another one begins. */
  private collected(): Batch {
    const { current, takers } = this;
    this.current = new Batch(current.sequence + 1);
    this.takers = [];
    for (const resolve of takers) resolve();
    return current;
  }

  private settled(): void {
    const { waiters } = this;
    this.waiters = [];
    for (const waiter of waiters) waiter();
    this.host.requestTurn();
  }

  /** The call is in memory from now on, and gone again if the commit fails. */
  private appear(record: CallRecord): void {
    const { current } = this;
    record.batch = current.sequence;
    current.touched.push(record);
    current.before.push(undefined);
  }

  private add(mutation: Mutation): void {
    this.current.mutations.push(mutation);
    if (mutation.type === 'create' && mutation.header.parentId === '') this.current.roots += 1;
    this.host.requestTurn();
  }
}

/** The version of the code that runs the call here; undefined where nobody has said. */
function codeOf({ fn, version }: CallRecord): string | undefined {
  const policy = fn.policy(version);
  return policy && (policy.version ?? '');
}
