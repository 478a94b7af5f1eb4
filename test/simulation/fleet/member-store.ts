import type { Any } from '@bufbuild/protobuf/wkt';
import type { CallResult } from '../../../lib/gen/dispatch/sdk/v1/call_pb.js';
import { StoreError, StoreOwnershipLostError } from '../../../lib/scheduler/index.js';
import type {
  BranchChanges,
  CallEnd,
  CallFilter,
  CallPage,
  CallRow,
  ClaimableFunctions,
  DispatchId,
  EndedBranch,
  KeyedCall,
  Mutation,
  Recovery,
  Registration,
  SharedStore,
  SharedStoreListener,
  SlotDemand,
  SlotShare,
  Timestamp,
  UnservedFunction,
} from '../../../lib/scheduler/index.js';
import type { RunningCalls } from '../casualties.js';
import type { EventQueue } from '../event-queue.js';
import { silence, type Life } from '../life.js';
import type { Surroundings } from '../simulated-store.js';
import type { PausableQueue } from './pausable-queue.js';
import type { Member, SharedMemory } from './shared-memory.js';

/** A process that shows no sign of life keeps its calls for so long, and shows one so often; milliseconds. */
export const LEASE = 15_000;
const HEARTBEAT = 3_000;

/** Where a process and what the processes share meet. */
export interface MemberParts {
  readonly shared: SharedMemory;
  readonly world: Surroundings;
  /** Of the process: it may be paused. */
  readonly queue: PausableQueue;
  /** Of the world: what was sent arrives, whatever has become of the sender. */
  readonly network: EventQueue;
  readonly life: Life;
  readonly effect: (what: string) => void;
  readonly running: RunningCalls;
}

/** A process's way to the store that it shares with others: a network, which may be cut, and the lease of the process. */
export class MemberStore implements SharedStore {
  readonly name = 'shared:';
  readonly lease = LEASE;
  private member: Member | undefined;
  private listener: SharedStoreListener | undefined;
  private runs = true;
  private registrations: readonly Registration[] = [];
  private renewedAt = 0;
  private cutUntil = 0;
  private lastCommit: Promise<void> = Promise.resolve();

  constructor(private readonly parts: MemberParts) {}

  get isOutOfTouch(): boolean {
    return this.parts.queue.now - this.renewedAt > LEASE;
  }

  /** As the store knows this process; undefined while it is not open. */
  get identity(): Member | undefined {
    return this.member;
  }

  /** The store cannot be reached for so long. */
  cut(milliseconds: number): void {
    this.cutUntil = this.parts.queue.now + milliseconds;
  }

  async open(member?: { readonly runs: boolean; readonly listener: SharedStoreListener }): Promise<void> {
    if (this.member !== undefined) throw new StoreError('shared: is open already');
    this.listener = member?.listener;
    this.runs = member?.runs ?? true;
    await this.travel();
    this.member = this.join();
    this.beat();
  }

  async rejoin(): Promise<void> {
    const former = this.require();
    await this.travel();
    this.member = this.join();
    this.parts.shared.leave(former);
    await this.register(this.registrations);
  }

  register(functions: readonly Registration[]): Promise<void> {
    this.registrations = functions;
    return this.write((member) => this.parts.shared.register(member, functions));
  }

  registeredElsewhere(): Promise<Registration[]> {
    return this.ask((member) => this.parts.shared.registeredElsewhere(member));
  }

  /** Who waits for functions that no process has is of no interest here: all are somewhere. */
  async unserved(): Promise<UnservedFunction[]> {
    return [];
  }

  recover(): Promise<Recovery> {
    return this.write((member) => this.parts.shared.recover(member));
  }

  claim(limit: number, functions: ClaimableFunctions): Promise<Recovery> {
    return this.write((member) => this.parts.shared.claim(member, limit, functions));
  }

  offerWork(): Promise<void> {
    return this.ask(({ id }) => this.parts.shared.tellAll((listener) => listener.workOffered(id), id));
  }

  askForWork(process: number, count: number): Promise<void> {
    return this.ask(() => this.parts.shared.tell(process, (listener) => listener.workWanted(count)));
  }

  async commit(mutations: readonly Mutation[], branches?: BranchChanges): Promise<void> {
    if (mutations.length === 0 && branches === undefined) return;
    this.parts.effect('commit');
    const committed = this.lastCommit.then(() =>
      this.write((member) => this.parts.shared.commit(member, mutations, branches)),
    );
    this.lastCommit = committed.catch(() => undefined);
    await committed;
    this.parts.effect('committed');
  }

  endedBranches(limit: number): Promise<EndedBranch[]> {
    return this.ask((member) => this.parts.shared.endedBranches(member, limit));
  }

  shareKeys(wanting: readonly KeyedCall[], leaving: readonly KeyedCall[]): Promise<DispatchId[]> {
    return this.write((member) => this.parts.shared.shareKeys(member, wanting, leaving));
  }

  /** Nothing is set aside here: a claim takes all that wait for a key. */
  async callUp(): Promise<void> {}

  shareSlots(demands: readonly SlotDemand[]): Promise<SlotShare[]> {
    return this.write((member) => this.parts.shared.shareSlots(member, demands));
  }

  ends(ids: readonly DispatchId[]): Promise<CallEnd[]> {
    return this.ask(async () => {
      const ends = ids.map(async (id): Promise<CallEnd[]> => {
        const row = await this.parts.shared.row(id);
        const [result] = await this.parts.shared.base.results([id]);
        if (row === undefined) return [];
        const { rootId } = row.header;
        return [{ id, rootId, finished: row.finished && result ? { ...row.finished, result } : undefined }];
      });
      return (await Promise.all(ends)).flat();
    });
  }

  sweep(): Promise<void> {
    return this.ask(async (member) => {
      if (this.parts.shared.isOldest(member)) await this.parts.shared.sweep();
    });
  }

  others(): Promise<number> {
    return this.ask((member) => this.parts.shared.others(member));
  }

  watch(ids: readonly DispatchId[]): Promise<void> {
    return this.ask((member) => this.parts.shared.watch(member, ids));
  }

  unwatch(ids: readonly DispatchId[]): Promise<void> {
    return this.ask((member) => this.parts.shared.unwatch(member, ids));
  }

  requestCancel(id: DispatchId): Promise<void> {
    return this.ask(() => this.parts.shared.requestCancel(id));
  }

  requestedCancels(): Promise<DispatchId[]> {
    return this.ask((member) => this.parts.shared.requestedCancels(member));
  }

  forgetCancels(ids: readonly DispatchId[]): Promise<void> {
    return this.ask(() => this.parts.shared.forgetCancels(ids));
  }

  markRunning(started: readonly DispatchId[], ended: readonly DispatchId[]): void {
    const { life, running, shared } = this.parts;
    if (!life.isAlive) return;
    running.ended(ended);
    running.begun(started);
    shared.mark(this.require(), started, ended);
  }

  get(id: DispatchId): Promise<CallRow | undefined> {
    return this.ask(() => this.parts.shared.row(id));
  }

  list(filter: CallFilter, page: { readonly limit: number; readonly after?: string }): Promise<CallPage> {
    return this.ask(() => this.parts.shared.base.list(filter, page));
  }

  input(id: DispatchId): Promise<Any | undefined> {
    return this.ask(() => this.parts.shared.base.input(id));
  }

  journal(id: DispatchId): Promise<Uint8Array> {
    return this.ask(() => this.parts.shared.base.journal(id));
  }

  results(ids: readonly DispatchId[]): Promise<(CallResult | undefined)[]> {
    return this.ask(() => this.parts.shared.base.results(ids));
  }

  finishedBefore(time: Timestamp, limit: number): Promise<DispatchId[]> {
    return this.ask((member) =>
      this.parts.shared.isOldest(member) ? this.parts.shared.base.finishedBefore(time, limit) : [],
    );
  }

  async close(): Promise<void> {
    const member = this.require();
    await this.travel();
    this.member = undefined;
    this.parts.shared.leave(member);
  }

  private join(): Member {
    const { shared, queue, world, running } = this.parts;
    this.renewedAt = queue.now;
    const tell: Member['tell'] = (what) => {
      if (world.isChaotic && world.chance.happens(world.faults.answerLost)) return;
      queue.schedule(world.chance.between(0.1, 5), () => {
        if (this.member === member && this.listener !== undefined) what(this.listener);
      });
    };
    const member = shared.join({ runs: this.runs, running, tell });
    return member;
  }

  private beat(): void {
    this.parts.queue.schedule(HEARTBEAT, () => {
      if (this.member === undefined) return;
      this.beat();
      this.write((member) => this.parts.shared.fence(member)).catch(() => undefined);
    });
  }

  private require(): Member {
    if (this.member === undefined) throw new StoreError('shared: is not open');
    return this.member;
  }

  /** A transaction in which the process counts as alive, or learns that it does not. */
  private async write<T>(action: (member: Member) => T | Promise<T>): Promise<T> {
    const member = this.require();
    const sentAt = this.parts.queue.now;
    try {
      const answer = await this.ask(action);
      const wasOver = this.isOutOfTouch;
      if (this.member === member) this.renewedAt = Math.max(this.renewedAt, sentAt);
      if (wasOver && !this.isOutOfTouch) this.listener?.leaseRegained();
      return answer;
    } catch (error) {
      if (error instanceof StoreOwnershipLostError && this.member === member) this.listener?.ownershipLost();
      throw error;
    }
  }

  /** What arrives is done, whether or not the answer finds anybody; it waits where the store was cut off meanwhile. */
  private async ask<T>(action: (member: Member) => T | Promise<T>): Promise<T> {
    const member = this.require();
    const { shared, network, world, life } = this.parts;
    if (!life.isAlive) return silence();
    if (this.cutUntil > network.now) {
      await this.pause(this.cutUntil - network.now > 1_000 ? 1_000 : 1);
      if (this.cutUntil > network.now) throw new StoreError('shared: cannot be reached');
    }
    await new Promise<void>((arrive) => network.schedule(world.chance.between(0.02, 2), arrive));
    const answer = shared.inTurn(async () => action(member));
    await answer.catch(() => undefined);
    await this.pause(Math.max(0, this.cutUntil - network.now) + world.chance.between(0.02, 2));
    return answer;
  }

  private async travel(): Promise<void> {
    const { network, world } = this.parts;
    await this.pause(Math.max(0, this.cutUntil - network.now) + world.chance.between(0.02, 2));
  }

  /** Of the process's time: it may die or be paused meanwhile. */
  private pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.parts.queue.schedule(milliseconds, resolve));
  }
}
