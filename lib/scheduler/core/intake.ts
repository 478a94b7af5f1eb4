import { InvalidArgumentError } from '../../errors/index.js';
import {
  isJoining,
  StoreConflictError,
  StoreReservedError,
  type CallerTransaction,
  type CallHeader,
  type CallProgress,
  type CallTarget,
  type CreateMutation,
  type DispatchId,
  type KnownCall,
  type Timestamp,
} from '../store.js';
import type { NewCall } from './calls.js';
import type { Core } from './core.js';
import { isDispatchId, rootId } from './ids.js';
import { NATIVE_ENDPOINT } from './native-waits.js';
import type { Milliseconds } from './options.js';
import { freshProgress } from './progress.js';
import { CallRecord } from './record.js';
import { invalidCall, MAX_KEY, MAX_PRIORITY } from './validation.js';

/** New calls wait for the next commit when the one that is being collected has so many. */
const MADE_AT_ONCE = 1_000;
/** How often calls are made whose commit another process was first with. */
const CONFLICT_ATTEMPTS = 5;
/** How long a dispatch waits before it looks again whether a transaction with one of its ids has ended. */
const FIRST_PAUSE: Milliseconds = 10;
const LONGEST_PAUSE: Milliseconds = 500;
const NONE: ReadonlyMap<DispatchId, KnownCall> = new Map();

/** Is handed a call that is there already, and the place of the one that was to be made; throws to refuse that. */
export type Accept = (known: KnownCall, index: number) => void;

/** Takes in the calls that clients dispatch. */
export class Intake {
  /** Dispatches that are asking the store for the ids they were given. */
  private lookUps = 0;
  /** Calls that left memory since the first of these began, so that its answer from the store may be outdated. */
  private readonly leftMeanwhile = new Set<DispatchId>();
  /** Calls for other processes, until they are in the store. */
  private readonly givenAway = new Set<DispatchId>();

  constructor(private readonly core: Core) {}

  async dispatch(calls: readonly NewCall[], accept: Accept): Promise<DispatchId[]> {
    for (const call of calls) this.validate(call);
    acceptTwins(calls, accept);
    let conflicts = 0;
    for (;;) {
      try {
        return await this.make(calls, accept);
      } catch (error) {
        // What has the id is waited for outside of commits, where it holds up nobody else.
        if (error instanceof StoreReservedError) continue;
        // Another process made a call with an id that is given here, or one that shares the commit: now it is known.
        conflicts += 1;
        if (!(error instanceof StoreConflictError) || conflicts === CONFLICT_ATTEMPTS) throw error;
      }
    }
  }

  /** In a transaction of the application: nothing of it is in memory, where it might stay when that is rolled back. */
  async dispatchIn(transaction: CallerTransaction, calls: readonly NewCall[], accept: Accept): Promise<DispatchId[]> {
    for (const call of calls) this.validate(call);
    const { store, clock } = this.core;
    if (!isJoining(store)) throw refuseToJoin(store.name);
    const now = clock.now();
    const roots = calls.map((call) => this.freeRoot(call, now));
    const ids = roots.map(({ header }) => header.id);
    const given = calls.flatMap(({ id }) => id ?? []);
    await store.createIn(transaction, roots, given, (known) => accept(known, ids.indexOf(known.id)));
    return ids;
  }

  noteLeft(id: DispatchId): void {
    if (this.lookUps > 0) this.leftMeanwhile.add(id);
  }

  private async make(calls: readonly NewCall[], accept: Accept): Promise<DispatchId[]> {
    const { commits } = this.core;
    // One batch after the other: the calls of the first run while the next are being stored.
    while (commits.newRoots >= MADE_AT_ONCE) await commits.taken();
    const hasGiven = calls.some(({ id }) => id !== undefined);
    const ids = hasGiven ? await this.createUnlessKnown(calls, accept) : this.create(calls, NONE);
    try {
      await commits.durable();
    } finally {
      for (const id of ids) this.givenAway.delete(id);
    }
    return ids;
  }

  /** None of them where one is refused. */
  private async createUnlessKnown(calls: readonly NewCall[], accept: Accept): Promise<DispatchId[]> {
    let pause = FIRST_PAUSE;
    this.lookUps += 1;
    try {
      for (;;) {
        const leftBefore = new Set(this.leftMeanwhile);
        const known = await this.lookUp(calls);
        const isReserved = await this.isReserved(calls, known);
        calls.forEach(({ id = '' }, index) => {
          const call = known.get(id);
          if (call !== undefined) accept(call, index);
        });
        const isNews = ({ id = '' }: NewCall): boolean =>
          !known.has(id) && (this.isBeingMade(id) || (this.leftMeanwhile.has(id) && !leftBefore.has(id)));
        if (isReserved) {
          await this.pause(pause);
          pause = Math.min(LONGEST_PAUSE, pause * 2);
          continue;
        }
        if (!calls.some(isNews)) return this.create(calls, known);
        // Whether it is then in the store or not, the next look tells.
        await this.core.commits.durable().catch(() => undefined);
      }
    } finally {
      this.lookUps -= 1;
      if (this.lookUps === 0) this.leftMeanwhile.clear();
    }
  }

  /** Which of them the store has. */
  private async lookUp(calls: readonly NewCall[]): Promise<Map<DispatchId, KnownCall>> {
    const { store } = this.core;
    const ids = new Set(calls.flatMap(({ id }) => id ?? []));
    const found = await Promise.all(
      [...ids].map(async (id): Promise<KnownCall[]> => {
        const row = await store.get(id);
        if (row === undefined) return [];
        const { endpoint, function: name } = row.target;
        return [{ id, endpoint, function: name, incarnation: row.progress.incarnation, input: await store.input(id) }];
      }),
    );
    return new Map(found.flat().map((call) => [call.id, call]));
  }

  /** Whether a transaction of an application may be about to make one of them: a commit would wait for its end, and all else with it. */
  private async isReserved(calls: readonly NewCall[], known: ReadonlyMap<DispatchId, KnownCall>): Promise<boolean> {
    const { store } = this.core;
    if (!isJoining(store)) return false;
    const ids = calls.flatMap(({ id }) => (id === undefined || known.has(id) ? [] : id));
    return ids.length > 0 && (await store.reserved(ids)).length > 0;
  }

  private pause(time: Milliseconds): Promise<void> {
    const { clock } = this.core;
    return new Promise((resolve) => clock.at(clock.now() + time, resolve));
  }

  private isBeingMade(id: DispatchId): boolean {
    return this.core.records.has(id) || this.givenAway.has(id);
  }

  /** All of them in one turn, so that they are one commit. */
  private create(calls: readonly NewCall[], known: ReadonlyMap<DispatchId, KnownCall>): DispatchId[] {
    const { core } = this;
    const now = core.clock.now();
    return calls.map((call) => {
      const { id = rootId(now, core.random, call.namespace) } = call;
      if (known.has(id) || this.isBeingMade(id)) return id;
      const header = rootHeader(id, call, now);
      const progress = freshProgress(call.dueAt ?? now, 1);
      if (core.fleet?.givesAway(call.endpoint, call.function, call.key ?? '')) {
        this.giveAway(header, call, progress);
        return id;
      }
      const fn = core.functions.entry(call.endpoint, call.function);
      const record = new CallRecord(header, fn, call.version ?? '', progress);
      core.add(record);
      core.payloads.holdInput(record, call.input);
      core.commits.create(record, call.input, call.id !== undefined);
      return id;
    });
  }

  private giveAway(header: CallHeader, call: NewCall, progress: CallProgress): void {
    this.givenAway.add(header.id);
    this.core.commits.createFree(header, targetOf(call), progress, call.id !== undefined);
  }

  private freeRoot(call: NewCall, now: Timestamp): CreateMutation {
    const { id = rootId(now, this.core.random, call.namespace) } = call;
    const progress = freshProgress(call.dueAt ?? now, 1);
    return { type: 'create', header: rootHeader(id, call, now), target: targetOf(call), progress, free: true };
  }

  private validate(call: NewCall): void {
    const problem =
      call.endpoint === NATIVE_ENDPOINT
        ? `the endpoint '${NATIVE_ENDPOINT}' is for calls of durable functions`
        : (invalidCall(this.core, call) ?? invalidTimes(call) ?? invalidOrder(call));
    if (problem !== undefined) throw new InvalidArgumentError(problem);
  }
}

/** Of calls with the same id the first one is made. */
function acceptTwins(calls: readonly NewCall[], accept: Accept): void {
  const first = new Map<DispatchId, NewCall>();
  calls.forEach((call, index) => {
    const { id } = call;
    if (id === undefined) return;
    const twin = first.get(id);
    if (twin === undefined) first.set(id, call);
    else accept({ id, endpoint: twin.endpoint, function: twin.function, incarnation: 1, input: twin.input }, index);
  });
}

function rootHeader(id: DispatchId, call: NewCall, now: Timestamp): CallHeader {
  return {
    id,
    parentId: '',
    rootId: id,
    correlationId: 0n,
    parentIncarnation: 0,
    createdAt: now,
    expiresAt: call.expiration === undefined ? undefined : now + call.expiration,
    priority: call.priority ?? 0,
    key: call.key ?? '',
  };
}

function targetOf({ endpoint, function: name, version = '', input }: NewCall): CallTarget {
  return { endpoint, function: name, version, input };
}

function refuseToJoin(store: string): InvalidArgumentError {
  return new InvalidArgumentError(
    `with({ transaction }) needs a store in the database of the transaction, and this one is ${store}: set scheduler.store, ` +
      'or DISPATCH_STORE, to the address of that database, postgres://user:password@host:5432/database.',
  );
}

function invalidOrder({ priority, key, function: name }: NewCall): string | undefined {
  if (priority !== undefined && !(Number.isInteger(priority) && Math.abs(priority) <= MAX_PRIORITY)) {
    return `the priority of ${name} is ${priority}: it has to be a whole number from ${-MAX_PRIORITY} to ${MAX_PRIORITY}`;
  }
  if (key !== undefined && (key === '' || key.length > MAX_KEY)) {
    return `the key of a call of ${name} has ${key.length} characters: it has to have from 1 to ${MAX_KEY}`;
  }
  if (key?.includes('\0')) return `the key of a call of ${name} has the character U+0000 in it`;
  return undefined;
}

function invalidTimes({ id, expiration, dueAt, function: name }: NewCall): string | undefined {
  if (id !== undefined && !isDispatchId(id))
    return `the id '${id}' of a call of ${name} is not 32 lower-case hex digits`;
  if (expiration !== undefined && !(Number.isFinite(expiration) && expiration >= 0)) {
    return `the expiration of ${name} is ${expiration}: it has to be a number of milliseconds, 0 or more`;
  }
  if (dueAt !== undefined && !Number.isFinite(dueAt)) {
    return `the dueAt of ${name} is ${dueAt}: it has to be milliseconds since 1970`;
  }
  return undefined;
}
