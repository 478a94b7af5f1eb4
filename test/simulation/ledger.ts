import { fromBinary } from '@bufbuild/protobuf';
import { AnySchema, type Any } from '@bufbuild/protobuf/wkt';
import { journalIn } from '../../lib/coroutine/state.js';
import type { CallResult } from '../../lib/gen/dispatch/sdk/v1/call_pb.js';
import { JournalSchema, type Delivery } from '../../lib/gen/nestjs_dispatch/v1/journal_pb.js';
import {
  NATIVE_ENDPOINT,
  UNPLACED,
  type BranchChanges,
  type CallHeader,
  type CallProgress,
  type DispatchId,
  type FinishedCall,
  type Mutation,
} from '../../lib/scheduler/index.js';
import { unpack } from '../../lib/values/index.js';
import type { Casualties } from './casualties.js';
import { type Oracle, type Outcome } from './oracle.js';
import { FUNCTIONS, SCRIPTED, type Programs } from './programs.js';
import type { WallClock } from './simulated-clock.js';
import type { Trace } from './trace.js';

/** A call, as it was committed. */
export interface LedgerCall {
  readonly header: CallHeader;
  endpoint: string;
  function: string;
  /** What it was given, or what took its place. */
  input: unknown;
  progress: CallProgress;
  finished: FinishedCall | undefined;
  /** How often it has ended: it may be tried again. */
  ends: number;
  /** Where its journal ends. */
  bytes: number;
  /** Results that its journal says it was handed, in that order: their places in the inbox. */
  handed: number[];
  /** Timers that its journal says have fired, and steps that have ended. */
  readonly ended: Set<string>;
  readonly deadlines: Map<number, number>;
  wasCancelled: boolean;
  /** Children of the current incarnation, by their place in its inbox. */
  readonly inbox: Map<number, LedgerCall>;
  readonly children: Set<LedgerCall>;
}

/** The causes of what clients may do to a call. */
export interface Clients {
  mayCreate(id: DispatchId, input: unknown): boolean;
  hasCancelled(id: DispatchId): boolean;
  hasRetried(id: DispatchId): boolean;
}

/**
 * What is on the disk, kept a second time and more simply, and looked at with every commit: whatever a commit contains
 * has to follow from what was committed before.
 */
export class Ledger {
  readonly calls = new Map<DispatchId, LedgerCall>();
  readonly purged = new Set<DispatchId>();
  unfinished = 0;
  /** Runs that are to be made again, and those of them that have a pause before. */
  readonly retries = { all: 0, paused: 0 };

  constructor(
    private readonly programs: Programs,
    private readonly trace: Trace,
    private readonly clients: Clients,
    private readonly wall: WallClock,
    private readonly retention: number,
    private readonly casualties: Pick<Casualties, 'count'>,
  ) {}

  oracle: Oracle | undefined;
  /** Called with each end of a root. */
  onRootEnded: (id: DispatchId, outcome: Outcome) => void = () => undefined;

  /** Called with each call that is removed. */
  onPurged: (id: DispatchId) => void = () => undefined;

  /** Calls that whoever has them is to cancel. */
  private readonly toCancel = new Set<DispatchId>();

  /** What the clock on the wall shows. */
  get now(): number {
    return this.wall.now();
  }

  /** @param branches what the commit says of branches that other processes have */
  apply(mutations: readonly Mutation[], branches?: BranchChanges): void {
    const ended: LedgerCall[] = [];
    const cancelled: LedgerCall[] = [];
    for (const mutation of mutations) {
      if (mutation.type === 'create') this.create(mutation);
      else if (mutation.type === 'purge') this.purge(mutation.ids);
      else {
        const call = this.calls.get(mutation.id);
        if (call === undefined) {
          this.trace.violate(`a '${mutation.type}' of a call that was never created`, mutation.id);
          continue;
        }
        switch (mutation.type) {
          case 'progress':
            this.progress(call, mutation.progress);
            break;
          case 'replace':
            this.replace(call, mutation);
            ended.push(call);
            break;
          case 'append':
            this.append(call, mutation.journal);
            break;
          case 'state':
            this.state(call, mutation.state, mutation.typed);
            break;
          case 'finish':
            this.finish(call, mutation.finished);
            ended.push(call);
            if (mutation.finished.state === 'cancelled') cancelled.push(call);
        }
      }
    }
    for (const { id, inbox } of branches?.placed ?? []) this.place(id, inbox);
    for (const id of branches?.cancelled ?? []) this.requestCancel(id);
    for (const call of ended) this.checkChildren(call);
    for (const call of cancelled) this.checkCancelled(call);
  }

  /** Somebody has asked for a call to be cancelled that another process may have. */
  requestCancel(id: DispatchId): void {
    this.toCancel.add(id);
  }

  isToBeCancelled(id: DispatchId): boolean {
    return this.toCancel.has(id);
  }

  describe(id: DispatchId): string {
    const call = this.calls.get(id);
    if (call === undefined) return 'call';
    return `${call.function}:${typeof call.input === 'number' ? call.input : '-'}`;
  }

  /** The places in a call's inbox of the results of those of its calls that have this input. */
  placesOf(id: DispatchId, incarnation: number, input: unknown): number[] {
    const call = this.calls.get(id);
    if (call?.progress.incarnation !== incarnation) return [];
    const places = [...call.inbox].flatMap(([place, child]) => (child.input === input ? place : []));
    return places.sort((a, b) => a - b);
  }

  /** How a finished call ended, as one sees it from outside. */
  outcomeOf({ result }: Pick<FinishedCall, 'result'>): Outcome {
    return result.error === undefined ? { value: unpack(result.output) } : { error: result.error.message };
  }

  private create({ header, target, progress }: Extract<Mutation, { type: 'create' }>): void {
    const { id } = header;
    const input = read(target.input);
    this.trace.note('created', id, target.endpoint);
    this.trace.check(!this.calls.has(id), 'a call was created twice', id);
    const call: LedgerCall = {
      header,
      endpoint: target.endpoint,
      function: target.function,
      input,
      progress,
      finished: undefined,
      ends: 0,
      bytes: 0,
      handed: [],
      ended: new Set(),
      deadlines: new Map(),
      wasCancelled: false,
      inbox: new Map(),
      children: new Set(),
    };
    this.calls.set(id, call);
    this.purged.delete(id);
    this.unfinished += 1;
    if (header.parentId === '') {
      this.trace.check(this.clients.mayCreate(id, input), 'a root was created that nobody has dispatched', id);
      return;
    }
    const parent = this.calls.get(header.parentId);
    if (parent === undefined) return this.trace.violate('a child was created without its parent', id, header.parentId);
    parent.children.add(call);
    const { incarnation } = parent.progress;
    this.trace.check(header.parentIncarnation <= incarnation, 'a child is of an incarnation to come', id);
    const latest = parent.progress.cancelBy === undefined ? parent.header.expiresAt : undefined;
    const isInTime = latest === undefined || (header.expiresAt ?? Infinity) <= latest;
    this.trace.check(isInTime, 'a child has more time than the call that made it', id, header.parentId);
    for (const other of parent.children) {
      const same =
        other !== call &&
        other.header.correlationId === header.correlationId &&
        other.header.parentIncarnation === header.parentIncarnation;
      if (same) this.trace.violate('two children of an incarnation have the same number', id, other.header.id);
    }
  }

  private progress(call: LedgerCall, progress: CallProgress): void {
    const { id } = call.header;
    const before = call.progress;
    this.trace.note(progress.state, id, `i${progress.incarnation} delivered ${progress.delivered}`);
    this.trace.check(call.finished === undefined, 'a finished call made progress', id);
    this.trace.check(progress.incarnation === before.incarnation, 'progress changed the incarnation', id);
    this.trace.check(progress.delivered >= before.delivered, 'results are undelivered again', id);
    if (progress.delivered > before.delivered) this.checkTakenIn(call, before.delivered, progress.delivered);
    if (progress.attempt > before.attempt && progress.cancelBy === undefined) {
      this.retries.all += 1;
      if (progress.dueAt > this.wall.now()) this.retries.paused += 1;
    }
    if (progress.crashes > before.crashes) {
      this.trace.check(this.casualties.count(id), 'a crash is counted for a call that did not run then', id);
      this.trace.check(progress.crashes === before.crashes + 1, 'a crash is counted twice', id);
    }
    this.checkCounted(id, before, progress);
    if (progress.state === 'incompatible') {
      const changes = FUNCTIONS.get(call.function)?.changes;
      this.trace.check(changes !== undefined, 'a call was parked though its code is the same', id);
    }
    call.progress = progress;
  }

  /** A call that is to run after a pause has failed, and knows how often in a row. */
  private checkCounted(id: DispatchId, before: CallProgress, { state, dueAt, attempt, cancelBy }: CallProgress): void {
    const pauses = state === 'pending' && dueAt > Math.max(before.dueAt, this.wall.now());
    if (!pauses || cancelBy !== undefined || this.wall.steadyFor < COMMITTING_TAKES) return;
    this.trace.check(attempt === before.attempt + 1, 'a run that failed is not counted', id);
  }

  /** Results that count as delivered have to be in the journal, unless the function was cancelled meanwhile. */
  private checkTakenIn(call: LedgerCall, from: number, to: number): void {
    this.trace.check(call.inbox.has(to), `result ${to} was delivered before it was there`, call.header.id);
    if (call.endpoint === SCRIPTED || call.wasCancelled) return;
    for (const [place, child] of call.inbox) {
      if (place <= from || place > to || call.handed.includes(place)) continue;
      this.trace.violate('a result is lost: it counts as delivered unseen', child.header.id, call.header.id);
    }
  }

  private replace(call: LedgerCall, { target, progress }: Extract<Mutation, { type: 'replace' }>): void {
    const { id } = call.header;
    this.trace.note(target ? 'tail call' : 'begins again', id, `i${progress.incarnation}`);
    if (call.finished !== undefined) {
      this.trace.check(this.clients.hasRetried(id), 'a finished call began again by itself', id);
      call.finished = undefined;
      this.unfinished += 1;
    }
    this.trace.check(
      progress.incarnation === call.progress.incarnation + 1,
      'a new beginning is not the next incarnation',
      id,
    );
    call.progress = progress;
    call.bytes = 0;
    call.handed = [];
    call.ended.clear();
    call.deadlines.clear();
    call.wasCancelled = false;
    call.inbox.clear();
    if (target === undefined) return;
    call.endpoint = target.endpoint;
    call.function = target.function;
    call.input = read(target.input);
  }

  private append(call: LedgerCall, journal: Uint8Array): void {
    this.trace.note('journal', call.header.id, `+${journal.length}`);
    call.bytes += journal.length;
    this.readRounds(call, journal);
  }

  private state(call: LedgerCall, state: Uint8Array, typed: boolean): void {
    call.bytes = state.length;
    if (call.endpoint === SCRIPTED) return;
    const journal = typed
      ? journalIn({ state: { case: 'typedCoroutineState', value: fromBinary(AnySchema, state) } })
      : state;
    if (journal === undefined) return this.trace.violate('a state cannot be read', call.header.id);
    const { handed } = call;
    call.handed = [];
    call.ended.clear();
    call.deadlines.clear();
    this.readRounds(call, journal);
    const goesOn = handed.every((place, index) => call.handed[index] === place);
    this.trace.check(goesOn, 'the history of a function was changed', call.header.id);
  }

  private readRounds(call: LedgerCall, journal: Uint8Array): void {
    for (const { delivery, operations } of fromBinary(JournalSchema, journal).rounds) {
      if (delivery) this.readDelivery(call, delivery);
      for (const { sequence, kind } of operations) {
        if (kind.case === 'timer') call.deadlines.set(sequence, Number(kind.value.deadline));
      }
    }
  }

  private readDelivery(call: LedgerCall, { results, timers, steps, cancelled, time }: Delivery): void {
    const { id } = call.header;
    for (const result of results) this.readResult(call, result);
    for (const sequence of timers) {
      this.endOnce(call, `timer ${sequence}`);
      this.trace.check((call.deadlines.get(sequence) ?? Infinity) <= Number(time), 'a timer fired too early', id);
    }
    for (const { sequence } of steps) this.endOnce(call, `step ${sequence}`);
    if (cancelled) call.wasCancelled = true;
  }

  private endOnce(call: LedgerCall, what: string): void {
    this.trace.check(!call.ended.has(what), `${what} ended twice`, call.header.id);
    call.ended.add(what);
  }

  private readResult(call: LedgerCall, result: CallResult): void {
    const parent = call.header.id;
    const { incarnation } = call.progress;
    const child = [...call.children].find(
      ({ header }) => header.correlationId === result.correlationId && header.parentIncarnation === incarnation,
    );
    if (child?.finished === undefined) {
      return this.trace.violate(
        'a function was handed a result that is not recorded',
        parent,
        `${result.correlationId}`,
      );
    }
    const { id } = child.header;
    const place = child.finished.inbox;
    this.trace.check(call.inbox.get(place) === child, 'a function was handed a result of another call', parent, id);
    this.trace.check(isSame(result, child.finished.result), 'a result is not what was recorded', parent, id);
    this.trace.check(
      (call.handed.at(-1) ?? 0) < place,
      'a function was handed a result twice or out of order',
      parent,
      id,
    );
    call.handed.push(place);
  }

  private finish(call: LedgerCall, finished: FinishedCall): void {
    const { id, parentId } = call.header;
    this.trace.note(finished.state, id, outcomeText(this.outcomeOf(finished)));
    this.trace.check(call.finished === undefined, 'a call ended twice', id);
    const wasCancelling = call.progress.cancelBy !== undefined;
    call.finished = finished;
    call.ends += 1;
    call.progress = { ...call.progress, state: finished.state };
    this.unfinished -= 1;
    this.trace.check(finished.state === 'cancelled' || !wasCancelling, 'a cancelled call ended in another way', id);
    if (finished.state !== 'cancelled') this.checkOutcome(call, finished);
    const outcome = this.outcomeOf(finished);
    if (parentId === '') return this.onRootEnded(id, outcome);
    if (finished.inbox > 0) this.enterInbox(call, finished.inbox);
    else if (finished.inbox !== UNPLACED) this.checkUnheard(call);
  }

  /** The process that has the parent has given the result of a branch its place. */
  private place(id: DispatchId, inbox: number): void {
    const call = this.calls.get(id);
    if (call?.finished?.inbox !== UNPLACED) {
      return this.trace.violate('a result has its place that is not there, or had one', id);
    }
    call.finished = { ...call.finished, inbox };
    if (inbox > 0) this.enterInbox(call, inbox);
    else this.checkUnheard(call);
  }

  private enterInbox(call: LedgerCall, place: number): void {
    const { id, parentId, parentIncarnation } = call.header;
    const parent = this.calls.get(parentId);
    if (parent === undefined) return this.trace.violate('the parent of a result is gone', id);
    // A parent that ends or begins again in the same commit does not hear of it any more.
    if (parentIncarnation !== parent.progress.incarnation) return;
    this.trace.check(!parent.inbox.has(place), 'two results have the same place', id, parentId);
    this.trace.check(place > parent.progress.delivered, 'a result came behind those that were delivered', id, parentId);
    parent.inbox.set(place, call);
  }

  private checkUnheard({ header }: LedgerCall): void {
    const parent = this.calls.get(header.parentId);
    const cares = parent?.finished === undefined && parent?.progress.incarnation === header.parentIncarnation;
    if (cares) this.unheard.push(header.id);
  }

  /** Ends that were not for their parents, to be looked at when the commit is complete. */
  private unheard: DispatchId[] = [];

  private checkOutcome(call: LedgerCall, finished: FinishedCall): void {
    const { header } = call;
    const outcome = this.outcomeOf(finished);
    const failed = finished.state === 'failed';
    this.trace.check(failed === (outcome.error !== undefined), 'the state does not fit the result', header.id);
    if (header.expiresAt !== undefined && outcome.error !== undefined) return;
    if (call.endpoint === NATIVE_ENDPOINT) return;
    const isLegal =
      call.function === 'echo'
        ? JSON.stringify(outcome.value) === JSON.stringify(call.input)
        : call.function === 'extra'
          ? outcome.value === 'extra'
          : typeof call.input === 'number' && this.oracle?.accepts(call.input, outcome) === true;
    this.trace.check(isLegal, `no run without faults ends like this: ${outcomeText(outcome)}`, header.id);
  }

  /** Nobody waits for what the children of an ended call do: they were cancelled with it. */
  private checkChildren(call: LedgerCall): void {
    const { finished, progress, children } = call;
    for (const child of children) {
      if (child.finished !== undefined) continue;
      const isOrphan = finished !== undefined || child.header.parentIncarnation !== progress.incarnation;
      if (isOrphan && child.progress.cancelBy === undefined && !this.toCancel.has(child.header.id)) {
        this.trace.violate('a child of a call that has ended goes on', child.header.id, call.header.id);
      }
    }
    for (const id of this.unheard.splice(0)) {
      const child = this.calls.get(id);
      if (child) this.checkStillUnheard(child);
    }
  }

  private checkStillUnheard({ header }: LedgerCall): void {
    const parent = this.calls.get(header.parentId);
    const cares = parent?.finished === undefined && parent?.progress.incarnation === header.parentIncarnation;
    this.trace.check(!cares, 'a result is kept from the parent that waits for it', header.id, header.parentId);
  }

  private checkCancelled({ header, endpoint }: LedgerCall): void {
    const { id, parentId } = header;
    // A wait for another call ends as that has ended.
    if (endpoint === NATIVE_ENDPOINT) return;
    const parent = this.calls.get(parentId);
    const byParent =
      parent !== undefined &&
      (parent.finished !== undefined ||
        parent.progress.cancelBy !== undefined ||
        parent.progress.incarnation !== header.parentIncarnation);
    this.trace.check(byParent || this.clients.hasCancelled(id), 'a call was cancelled for no reason', id);
  }

  private purge(ids: readonly DispatchId[]): void {
    for (const id of ids) {
      const call = this.calls.get(id);
      if (call === undefined) continue;
      this.trace.check(call.finished !== undefined, 'an unfinished call was purged', id);
      const root = this.calls.get(call.header.rootId);
      // A root that is tried again just now does not need what its former try has left.
      const age = this.wall.now() - (root?.finished?.finishedAt ?? -Infinity);
      const isSteady = this.wall.steadyFor > PURGING_TAKES;
      this.trace.check(age >= this.retention || !isSteady, 'a call was purged too early', id);
      this.purged.add(id);
    }
    for (const id of ids) {
      const call = this.calls.get(id);
      if (call === undefined) continue;
      for (const child of call.children) {
        this.trace.check(
          ids.includes(child.header.id) || !this.calls.has(child.header.id),
          'a child was left behind by a purge',
          child.header.id,
        );
      }
      this.calls.get(call.header.parentId)?.children.delete(call);
    }
    for (const id of ids) {
      this.calls.delete(id);
      this.toCancel.delete(id);
      this.onPurged(id);
    }
  }
}

/** From what is found to be old to the commit that removes it, on the slowest of disks; milliseconds. */
const PURGING_TAKES = 15_000;
/** The same for what follows from a run. */
const COMMITTING_TAKES = 15_000;

function read(input: Any | undefined): unknown {
  return unpack(input);
}

/** The correlation id of a retried parent's child may differ; what it resulted in may not. */
function isSame(a: CallResult, b: CallResult): boolean {
  if ((a.error === undefined) !== (b.error === undefined)) return false;
  if (a.error && b.error) return a.error.message === b.error.message;
  return Buffer.compare(a.output?.value ?? NOTHING, b.output?.value ?? NOTHING) === 0;
}

const NOTHING = new Uint8Array();
const LONGEST_TEXT = 160;

export function outcomeText({ error, value }: Outcome): string {
  const text = error === undefined ? JSON.stringify(value) : `error: ${error}`;
  return text === undefined ? 'undefined' : text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}
