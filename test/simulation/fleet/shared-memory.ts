import {
  isFinished,
  MemoryStore,
  StoreError,
  StoreOwnershipLostError,
  UNPLACED,
} from '../../../lib/scheduler/index.js';
import type {
  BranchCall,
  BranchChanges,
  CallRow,
  ClaimableFunctions,
  DispatchId,
  KeyedCall,
  Mutation,
  Recovery,
  Registration,
  SharedStoreListener,
  SlotDemand,
  SlotShare,
} from '../../../lib/scheduler/index.js';
import { refuseForeign } from '../../../lib/scheduler/stores/refusals.js';
import { decide, type SlotRow } from '../../../lib/scheduler/stores/postgres/slot.division.js';
import type { EventQueue } from '../event-queue.js';
import type { Ledger } from '../ledger.js';
import { FleetCasualties, type Mortal } from './fleet-casualties.js';

/** A process, as the store knows it: a new one each time that it registers. */
export interface Member extends Mortal {
  readonly runs: boolean;
  leaseUntil: number;
  hasEnded: boolean;
  registrations: readonly Registration[];
  /** Has it hear of something, some time later; or never, because it was lost. */
  readonly tell: (what: (listener: SharedStoreListener) => void) => void;
}

/** Looks at what is committed, and has the time of the wall. */
export type Witness = Pick<Ledger, 'apply' | 'requestCancel' | 'now'>;

interface KeyRow extends KeyedCall {
  process: number;
  holds: boolean;
}

const NOTHING: Recovery = { calls: [], undelivered: [], inFlight: [] };
const EVERYTHING: ClaimableFunctions = { endpoints: [], functions: [] };

/** What processes share: it carries out their transactions, one after the other, and outlives them. */
export class SharedMemory {
  readonly base = new MemoryStore();
  readonly marks = new Map<DispatchId, number>();
  readonly casualties = new FleetCasualties(this.marks);
  /** Of calls that nobody has: undefined. */
  private readonly owners = new Map<DispatchId, number | undefined>();
  private readonly places = new Map<DispatchId, number>();
  private readonly branches = new Map<DispatchId, DispatchId | undefined>();
  private readonly codes = new Map<DispatchId, string | undefined>();
  private readonly members = new Map<number, Member>();
  private readonly waiting = new Map<DispatchId, Set<number>>();
  private readonly cancellations = new Set<DispatchId>();
  /** In the order in which they came. */
  private keys: KeyRow[] = [];
  private readonly slots = new Map<string, SlotRow[]>();
  /** Calls that ran when their process died, by the process that has claimed them. */
  private readonly inherited = new Map<number, ReadonlySet<DispatchId>>();
  private last: Promise<unknown> = this.base.open();

  constructor(
    private readonly ledger: Witness,
    private readonly queue: Pick<EventQueue, 'now'>,
    private readonly lease: number,
    private readonly random: () => number,
  ) {}

  join(process: Pick<Member, 'runs' | 'running' | 'tell'>): Member {
    const id = this.members.size + 1;
    const leaseUntil = this.queue.now + this.lease;
    const member: Member = { ...process, id, leaseUntil, hasEnded: false, registrations: [] };
    this.members.set(id, member);
    return member;
  }

  /** Carries out what one process asks for, while nobody else changes anything. */
  inTurn<T>(action: () => Promise<T>): Promise<T> {
    const result = this.last.then(action);
    this.last = result.catch(() => undefined);
    return result;
  }

  /**
   * What every transaction that writes begins with.
   * @throws StoreOwnershipLostError when the process counts as dead
   */
  fence(member: Member): void {
    if (!this.renew(member)) throw new StoreOwnershipLostError('the lease was over, and others go on');
  }

  /** False: the process counts as dead. */
  renew(member: Member): boolean {
    if (member.hasEnded) return false;
    member.leaseUntil = this.queue.now + this.lease;
    return true;
  }

  leave(member: Member): void {
    for (const [id, process] of this.marks) if (process === member.id) this.marks.delete(id);
    this.casualties.left(member);
    member.registrations = [];
    member.hasEnded = true;
    this.tellAll((listener) => {
      listener.claimable();
      listener.functionsChanged();
    });
  }

  register(member: Member, registrations: readonly Registration[]): void {
    this.fence(member);
    member.registrations = registrations;
    this.tellAll((listener) => listener.functionsChanged());
  }

  registeredElsewhere({ id: self }: Member): Registration[] {
    const found = new Map<string, Registration>();
    for (const { id, registrations } of this.alive()) {
      if (id === self) continue;
      for (const registration of registrations) {
        const name = JSON.stringify([registration.endpoint, registration.function, registration.version]);
        const known = found.get(name);
        const [runs, perKey] = [least(known?.runs, registration.runs), least(known?.perKey, registration.perKey)];
        found.set(name, { ...registration, runs, perKey });
      }
    }
    return [...found.values()];
  }

  others({ id: self }: Member): number {
    return this.alive().filter(({ id, runs }) => runs && id !== self).length;
  }

  isOldest({ id }: Member): boolean {
    return this.alive()[0]?.id === id;
  }

  /** Who has the call; undefined: nobody. */
  ownerOf(id: DispatchId): number | undefined {
    return this.owners.get(id);
  }

  async commit(member: Member, mutations: readonly Mutation[], branches: BranchChanges | undefined): Promise<void> {
    this.fence(member);
    const rows = await this.rowsById();
    this.requireOwned(member, mutations, branches, rows);
    await this.base.commit(mutations);
    this.ledger.apply(mutations, branches);
    for (const mutation of mutations) this.follow(member, mutation);
    for (const { id, inbox } of branches?.placed ?? []) this.places.set(id, inbox);
    for (const { id, branchId } of branches?.released ?? []) {
      this.owners.set(id, undefined);
      this.branches.set(id, branchId);
    }
    await this.tellOf(mutations, branches);
  }

  async claim(member: Member, limit: number, functions: ClaimableFunctions): Promise<Recovery> {
    this.judge(member);
    this.fence(member);
    const rows = await this.rows();
    const heads = this.claimableHeads(member, rows, functions).slice(0, limit);
    if (heads.length === 0) return NOTHING;
    const taken = rows.filter((row) => !row.finished && heads.includes(branchOf(row)) && this.isAnybodys(row));
    for (const { header } of taken) this.owners.set(header.id, member.id);
    const found = this.found(taken, rows);
    this.inherited.set(member.id, new Set([...(this.inherited.get(member.id) ?? []), ...found.inFlight]));
    return { ...found, toCancel: await this.requestedCancels(member) };
  }

  /** Claims all that nobody has, and finds all that the process has by then. */
  async recover(member: Member): Promise<Recovery> {
    await this.claim(member, Infinity, EVERYTHING);
    const rows = await this.rows();
    const own = rows.filter(({ header, finished }) => !finished && this.owners.get(header.id) === member.id);
    return { ...this.found(own, rows), inFlight: [...(this.inherited.get(member.id) ?? [])] };
  }

  async endedBranches(member: Member, limit: number) {
    const rows = await this.rowsById();
    const ended = [...rows.values()].filter(({ header, finished }) => {
      const parent = rows.get(header.parentId);
      return finished?.inbox === UNPLACED && !parent?.finished && this.owners.get(header.parentId) === member.id;
    });
    return Promise.all(
      ended.slice(0, limit).map(async (row) => {
        const [result] = await this.base.results([row.header.id]);
        return { ...branchCallOf(row), state: row.finished?.state ?? 'failed', result };
      }),
    );
  }

  async shareKeys(member: Member, wanting: readonly KeyedCall[], leaving: readonly KeyedCall[]): Promise<DispatchId[]> {
    this.fence(member);
    const rows = await this.rowsById();
    this.keys = this.keys.filter((line) => isInLine(line, rows.get(line.id)));
    for (const call of wanting) {
      const row = rows.get(call.id);
      if (row === undefined || row.finished || this.owners.get(call.id) !== member.id) continue;
      const line = this.keys.find(({ id }) => id === call.id);
      if (line) line.process = member.id;
      else this.keys.push({ ...call, process: member.id, holds: false });
    }
    const lines = [...wanting, ...leaving].map((call) => ({
      call,
      line: this.keys.filter((key) => isSameKey(key, call)),
    }));
    for (const { call, line } of lines) {
      for (const key of line) {
        const free = call.perKey - line.filter(({ holds }) => holds).length;
        if (key.holds || free <= 0 || this.isGone(key.process)) continue;
        key.holds = true;
        if (key.process !== member.id) this.tell(key.process, (listener) => listener.keyGiven(key.id));
      }
    }
    const mine = lines.flatMap(({ line }) => line.filter(({ holds, process }) => holds && process === member.id));
    return [...new Set(mine.map(({ id }) => id))];
  }

  shareSlots(member: Member, demands: readonly SlotDemand[]): SlotShare[] {
    this.fence(member);
    return demands.map((demand) => {
      const name = JSON.stringify([demand.endpoint, demand.function]);
      const rows = (this.slots.get(name) ?? []).filter(({ process }) => !this.isGone(process));
      const limit = Math.min(demand.limit, this.declaredLimit(demand));
      const { row, share, tells } = decide(member.id, { ...demand, limit }, rows);
      this.slots.set(name, [...rows.filter(({ process }) => process !== member.id), row]);
      for (const process of tells) this.tell(process, (listener) => listener.slotsChanged());
      return share;
    });
  }

  watch({ id: process }: Member, ids: readonly DispatchId[]): void {
    for (const id of ids) this.waiting.set(id, new Set([...(this.waiting.get(id) ?? []), process]));
  }

  unwatch({ id: process }: Member, ids: readonly DispatchId[]): void {
    for (const id of ids) this.waiting.get(id)?.delete(process);
  }

  requestCancel(id: DispatchId): void {
    this.cancellations.add(id);
    this.ledger.requestCancel(id);
    this.tell(this.owners.get(id), (listener) => listener.cancelRequested());
  }

  async requestedCancels(member: Member): Promise<DispatchId[]> {
    const rows = await this.rowsById();
    return [...this.cancellations].filter((id) => !rows.get(id)?.finished && this.owners.get(id) === member.id);
  }

  forgetCancels(ids: readonly DispatchId[]): void {
    for (const id of ids) this.cancellations.delete(id);
  }

  /** A process that counts as dead says nothing about calls that others have by now. */
  mark({ id: process }: Member, started: readonly DispatchId[], ended: readonly DispatchId[]): void {
    for (const id of ended) {
      const marked = this.marks.get(id);
      if (marked !== undefined && (marked === process || this.isGone(marked))) this.marks.delete(id);
    }
    if (this.isGone(process)) return;
    for (const id of started) this.marks.set(id, process);
  }

  tell(process: number | undefined, what: (listener: SharedStoreListener) => void): void {
    const member = process === undefined ? undefined : this.members.get(process);
    if (member?.hasEnded === false) member.tell(what);
  }

  tellAll(what: (listener: SharedStoreListener) => void, except?: number): void {
    for (const { id } of this.alive()) if (id !== except) this.tell(id, what);
  }

  async sweep(): Promise<void> {
    const rows = await this.rowsById();
    for (const [id, process] of this.marks) if (!rows.has(id) && this.isGone(process)) this.marks.delete(id);
    for (const id of this.cancellations)
      if (rows.get(id)?.finished !== undefined || !rows.has(id)) this.cancellations.delete(id);
    this.keys = this.keys.filter((line) => isInLine(line, rows.get(line.id)));
    for (const row of rows.values()) this.dropUnwanted(row, rows);
  }

  async row(id: DispatchId): Promise<CallRow | undefined> {
    const row = await this.base.get(id);
    return row && this.whole(row);
  }

  private alive(): Member[] {
    return [...this.members.values()].filter(({ hasEnded }) => !hasEnded);
  }

  private isGone(process: number): boolean {
    return this.members.get(process)?.hasEnded !== false;
  }

  /** Declares processes dead whose lease has run out. */
  private judge(self: Member): void {
    for (const member of this.alive()) {
      if (member === self || member.leaseUntil >= this.queue.now) continue;
      member.hasEnded = true;
      this.casualties.died(member);
      this.tellAll((listener) => listener.functionsChanged());
    }
  }

  private isAnybodys({ header }: CallRow): boolean {
    const owner = this.owners.get(header.id);
    return owner === undefined || this.isGone(owner);
  }

  /** Whether it has the key of its function, rather than that of one which it was before a tail call. */
  private hasKey(row: CallRow): boolean {
    return this.keys.some((line) => line.holds && line.id === row.header.id && isInLine(line, row));
  }

  /** Calls of a process, with what it has to know of them. */
  private found(calls: CallRow[], rows: readonly CallRow[]): Recovery {
    const places = new Map(calls.map(({ header }, place) => [header.id, place]));
    const children = rows.filter(({ header }) => places.has(header.parentId));
    const known = new Set(rows.map(({ header }) => header.id));
    const lost = [...this.marks].filter(([id, process]) => !known.has(id) && this.isGone(process)).map(([id]) => id);
    const placeOf = (id: DispatchId): number => places.get(id) ?? 0;
    return {
      calls,
      undelivered: children
        .flatMap((child) => undeliveredOf(child, rows))
        .sort((a, b) => placeOf(a.parentId) - placeOf(b.parentId) || a.inbox - b.inbox),
      inFlight: [...[...places.keys()].filter((id) => this.marks.has(id)), ...lost],
      withKey: calls.flatMap((row) => (this.hasKey(row) ? row.header.id : [])),
      branches: children.filter((child) => isHead(child) && isOutstanding(child)).map(branchCallOf),
    };
  }

  /** The highest priority first; within one, functions take turns, in any order, and of each the oldest goes first. */
  private inTurns(heads: readonly CallRow[]): CallRow[] {
    const lines = new Map<string, { readonly order: number; length: number }>();
    const places = heads.map((row) => {
      const { endpoint, function: name } = row.target;
      const key = JSON.stringify([row.header.priority, endpoint, name]);
      const line = lines.get(key) ?? { order: this.random(), length: 0 };
      lines.set(key, line);
      line.length += 1;
      return { row, turn: line.length, order: line.order };
    });
    places.sort((a, b) => b.row.header.priority - a.row.header.priority || a.turn - b.turn || a.order - b.order);
    return places.map(({ row }) => row);
  }

  private claimableHeads({ id: self }: Member, rows: readonly CallRow[], functions: ClaimableFunctions): DispatchId[] {
    const counts = new Map<string, number>();
    const mayClaim = ({ target, code, position }: CallRow): boolean => {
      const isElsewhere =
        position.bytes > 0 &&
        code !== undefined &&
        this.hasVersion(target, code) &&
        !this.hasVersion(target, code, self);
      if (isElsewhere) return false;
      const known = functions.functions.find(
        (fn) => fn.endpoint === target.endpoint && fn.function === target.function,
      );
      if (known === undefined) return !functions.endpoints.includes(target.endpoint);
      const name = JSON.stringify([target.endpoint, target.function]);
      const count = counts.get(name) ?? 0;
      counts.set(name, count + 1);
      return count < (known.most ?? Infinity);
    };
    const cancelled = new Set(
      [...this.cancellations].flatMap((id) => rows.find(({ header }) => header.id === id) ?? []).map(branchOf),
    );
    const free = rows.filter((row) => this.isAnybodys(row));
    const heads = free.filter((row) => isHead(row) && !row.finished);
    const isUrgent = ({ header, progress }: CallRow): boolean =>
      cancelled.has(header.id) ||
      (progress.cancelBy === undefined && (header.expiresAt ?? Infinity) <= this.ledger.now);
    const left = free.filter((row) => !row.finished && !isHead(row)).map(branchOf);
    const ended = left.filter((id) => rows.find(({ header }) => header.id === id)?.finished !== undefined);
    const found = [...this.inTurns(heads).filter(mayClaim), ...heads.filter(isUrgent)].map(({ header }) => header.id);
    return [...new Set([...found, ...ended])];
  }

  private hasVersion({ endpoint, function: name }: CallRow['target'], version: string, process?: number): boolean {
    return this.alive().some(
      ({ id, registrations }) =>
        (process === undefined || process === id) &&
        registrations.some((one) => one.endpoint === endpoint && one.function === name && one.version === version),
    );
  }

  private declaredLimit({ endpoint, function: name }: SlotDemand): number {
    const declared = this.alive().flatMap(({ registrations }) =>
      registrations.filter((one) => one.endpoint === endpoint && one.function === name),
    );
    return Math.min(Infinity, ...declared.map(({ runs }) => runs ?? Infinity));
  }

  private requireOwned(
    member: Member,
    mutations: readonly Mutation[],
    branches: BranchChanges | undefined,
    rows: ReadonlyMap<DispatchId, CallRow>,
  ): void {
    const isMine = (id: DispatchId): boolean => this.owners.get(id) === member.id;
    for (const mutation of mutations) {
      if (mutation.type === 'create' || mutation.type === 'purge') continue;
      const row = rows.get(mutation.id);
      if (row && !row.finished && !isMine(mutation.id)) throw refuseForeign('shared:', mutation.type, mutation.id);
    }
    const isPlaced = branches?.placed.some(({ id }) => rows.get(id)?.finished?.inbox !== UNPLACED) ?? false;
    const isLost = branches?.released.some(({ id }) => rows.has(id) && !isMine(id)) ?? false;
    if (isPlaced || isLost) throw new StoreError('shared: did not take a commit wholly, and nothing of it was stored.');
  }

  /** What a mutation says beside what the base keeps. */
  private follow(member: Member, mutation: Mutation): void {
    switch (mutation.type) {
      case 'create':
        this.forget(mutation.header.id);
        this.owners.set(mutation.header.id, mutation.free === true ? undefined : member.id);
        break;
      case 'purge':
        for (const id of mutation.ids) this.forget(id);
        break;
      case 'append':
      case 'state':
        this.codes.set(mutation.id, mutation.code);
        break;
      case 'replace':
        this.places.delete(mutation.id);
        this.codes.delete(mutation.id);
        this.owners.set(mutation.id, mutation.free === true ? undefined : member.id);
        break;
      case 'finish':
        this.codes.delete(mutation.id);
        this.places.delete(mutation.id);
        break;
      case 'progress':
        this.owners.set(mutation.id, member.id);
    }
    if ('id' in mutation) {
      const marked = this.marks.get(mutation.id);
      if (marked !== undefined && this.isGone(marked)) this.marks.delete(mutation.id);
    }
  }

  private forget(id: DispatchId): void {
    this.owners.delete(id);
    this.places.delete(id);
    this.branches.delete(id);
    this.codes.delete(id);
    this.waiting.delete(id);
  }

  private async tellOf(mutations: readonly Mutation[], branches: BranchChanges | undefined): Promise<void> {
    const rows = await this.rowsById();
    for (const mutation of mutations) {
      if (mutation.type !== 'finish') continue;
      for (const process of this.waiting.get(mutation.id) ?? []) {
        this.tell(process, (listener) => listener.ended(mutation.id));
      }
      const row = rows.get(mutation.id);
      if (row === undefined || mutation.finished.inbox !== UNPLACED) continue;
      this.dropUnwanted(row, rows);
      this.tell(this.owners.get(row.header.parentId), (listener) => listener.branchesEnded());
    }
    for (const id of branches?.deaf ?? []) {
      for (const row of rows.values()) if (row.header.parentId === id) this.dropUnwanted(row, rows, true);
    }
    for (const id of branches?.cancelled ?? []) if (rows.has(id) && !rows.get(id)?.finished) this.requestCancel(id);
    const isFree = mutations.some((one) => (one.type === 'create' || one.type === 'replace') && one.free === true);
    if (isFree || branches !== undefined) this.tellAll((listener) => listener.claimable());
  }

  /** The result of a branch that nobody waits for. */
  private dropUnwanted(row: CallRow, rows: ReadonlyMap<DispatchId, CallRow>, isDeaf = false): void {
    const { id, parentId } = row.header;
    if (row.finished?.inbox === UNPLACED && (isDeaf || rows.get(parentId)?.finished)) this.places.set(id, 0);
  }

  private async rows(): Promise<CallRow[]> {
    const { rows } = await this.base.list({}, { limit: Infinity });
    return rows.reverse().map((row) => this.whole(row));
  }

  private async rowsById(): Promise<Map<DispatchId, CallRow>> {
    return new Map((await this.rows()).map((row) => [row.header.id, row]));
  }

  private whole(row: CallRow): CallRow {
    const { id } = row.header;
    const branchId = this.branches.has(id) ? this.branches.get(id) : row.header.branchId;
    const inbox = this.places.get(id);
    const finished = row.finished && inbox !== undefined ? { ...row.finished, inbox } : row.finished;
    return { ...row, header: { ...row.header, branchId }, code: this.codes.get(id), finished };
  }
}

const isHead = ({ header }: CallRow): boolean => header.parentId === '' || header.branchId === header.id;

const branchOf = ({ header }: CallRow): DispatchId => header.branchId ?? header.rootId;

const isOutstanding = ({ finished, progress }: CallRow): boolean =>
  !isFinished(progress.state) || finished?.inbox === UNPLACED;

const branchCallOf = ({ header }: CallRow): BranchCall => ({
  id: header.id,
  parentId: header.parentId,
  correlationId: header.correlationId,
  parentIncarnation: header.parentIncarnation,
});

function undeliveredOf({ header, finished }: CallRow, rows: readonly CallRow[]): Recovery['undelivered'][number][] {
  const parent = rows.find((row) => row.header.id === header.parentId);
  const { id, parentId, correlationId } = header;
  const isDue =
    parent !== undefined &&
    finished !== undefined &&
    finished.inbox > parent.progress.delivered &&
    header.parentIncarnation === parent.progress.incarnation;
  return isDue ? [{ id, parentId, correlationId, inbox: finished.inbox }] : [];
}

const isInLine = (line: KeyedCall, row: CallRow | undefined): boolean =>
  row?.finished === undefined && row?.target.endpoint === line.endpoint && row.target.function === line.function;

const isSameKey = (a: KeyedCall, b: KeyedCall): boolean =>
  a.endpoint === b.endpoint && a.function === b.function && a.key === b.key;

const least = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
