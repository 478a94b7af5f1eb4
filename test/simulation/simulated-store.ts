import type { Any } from '@bufbuild/protobuf/wkt';
import type { CallResult } from '../../lib/gen/dispatch/sdk/v1/call_pb.js';
import {
  MemoryStore,
  StoreError,
  StoreWriteError,
  type CallFilter,
  type CallPage,
  type CallRow,
  type DispatchId,
  type Mutation,
  type Recovery,
  type Store,
  type Timestamp,
} from '../../lib/scheduler/index.js';
import type { RunningCalls } from './casualties.js';
import type { Chance } from './chance.js';
import type { EventQueue } from './event-queue.js';
import type { Fairness } from './fairness.js';
import type { Faults } from './faults.js';
import type { Ledger } from './ledger.js';
import type { Restraint } from './restraint.js';
import { silence, type Life } from './life.js';
import type { Trace } from './trace.js';

/** What outlives processes: all that was committed, and the marks of running calls. */
export class Disk {
  readonly store = new MemoryStore();
  /** Which calls are marked as running. */
  readonly marks = new Set<DispatchId>();
  /** Marks of an earlier process; the first commit that says something of the call removes its one. */
  readonly recovered = new Set<DispatchId>();
  /** Calls whose marks could not be set. */
  readonly unmarked = new Set<DispatchId>();
  isFull = false;

  constructor(readonly ledger: Ledger) {}
}

/** What the store and the network are a part of. */
export interface Surroundings {
  readonly queue: Pick<EventQueue, 'now' | 'schedule'>;
  readonly chance: Chance;
  readonly faults: Faults;
  readonly trace: Trace;
  /** Whether something may go wrong now. */
  readonly isChaotic: boolean;
}

/**
 * A process's way to the disk. Writing takes time: a commit is in flight first, then on the disk, then known to be there,
 * and the process may die in between.
 */
export class SimulatedStore implements Store {
  readonly name = 'simulated:';

  constructor(
    private readonly disk: Disk,
    private readonly world: Surroundings,
    private readonly life: Life,
    /** Something that can be seen from outside is about to be done: the process may be killed here. */
    private readonly effect: (what: string) => void,
    private readonly watchers: {
      readonly fairness: Fairness;
      readonly running: RunningCalls;
      readonly restraint: Restraint | undefined;
    },
  ) {}

  async open(): Promise<void> {
    await this.pause();
    if (this.isUnlucky(this.world.faults.readFails)) throw new StoreError('the file could not be opened');
    await this.disk.store.open();
    for (const id of this.disk.marks) this.disk.recovered.add(id);
  }

  recover(): Promise<Recovery> {
    return this.read('recover', () => this.disk.store.recover());
  }

  async commit(mutations: readonly Mutation[]): Promise<void> {
    this.effect('commit');
    const known = this.watchers.fairness.committing(mutations);
    await this.pause();
    const failure = this.disk.isFull
      ? 'the disk is full'
      : this.isUnlucky(this.world.faults.commitFails) && 'the disk could not be written';
    if (failure !== false) {
      this.world.trace.note('commit fails', '', failure);
      this.watchers.fairness.storeFailed();
      throw new StoreWriteError(failure);
    }
    await this.write(mutations);
    this.effect('committed');
    await this.pause();
    this.world.trace.note('committed', '', `${mutations.length} changes`);
    known();
  }

  markRunning(started: readonly DispatchId[], ended: readonly DispatchId[]): void {
    if (!this.life.isAlive) return;
    const { fairness, running, restraint } = this.watchers;
    fairness.changed(started, ended);
    running.ended(ended);
    running.begun(started);
    restraint?.started(started);
    const fails = this.isUnlucky(this.world.faults.markFails);
    running.noted(ended, !fails);
    if (fails) {
      for (const id of started) this.disk.unmarked.add(id);
      throw new StoreError('the marks are stuck');
    }
    this.disk.store.markRunning(started, ended);
    for (const id of ended) this.unmark(id);
    for (const id of started) {
      this.disk.recovered.delete(id);
      this.disk.marks.add(id);
      this.disk.unmarked.delete(id);
    }
  }

  get(id: DispatchId): Promise<CallRow | undefined> {
    return this.read('get', () => this.disk.store.get(id));
  }

  list(filter: CallFilter, page: { readonly limit: number; readonly after?: string }): Promise<CallPage> {
    return this.read('list', () => this.disk.store.list(filter, page));
  }

  input(id: DispatchId): Promise<Any | undefined> {
    return this.read('input', () => this.disk.store.input(id));
  }

  journal(id: DispatchId): Promise<Uint8Array> {
    return this.read('journal', () => this.disk.store.journal(id));
  }

  results(ids: readonly DispatchId[]): Promise<(CallResult | undefined)[]> {
    return this.read('results', () => this.disk.store.results(ids));
  }

  finishedBefore(time: Timestamp, limit: number): Promise<DispatchId[]> {
    return this.read('finishedBefore', () => this.disk.store.finishedBefore(time, limit));
  }

  async close(): Promise<void> {
    if (!this.life.isAlive) return silence();
    await this.disk.store.close();
    this.disk.marks.clear();
    this.disk.recovered.clear();
  }

  /** The commit comes to be: from here on it is there, whoever still hears of it. */
  private async write(mutations: readonly Mutation[]): Promise<void> {
    try {
      await this.disk.store.commit(mutations);
    } catch (error) {
      this.world.trace.violate(`the store refuses a commit: ${error instanceof Error ? error.message : String(error)}`);
      throw error;
    }
    for (const mutation of mutations) {
      const id = 'id' in mutation ? mutation.id : '';
      if (this.disk.recovered.has(id)) this.unmark(id);
    }
    this.disk.ledger.apply(mutations);
  }

  private unmark(id: DispatchId): void {
    this.disk.recovered.delete(id);
    this.disk.marks.delete(id);
  }

  private async read<T>(what: string, look: () => Promise<T>): Promise<T> {
    const done = this.watchers.running.reading();
    try {
      return await this.readNow(what, look);
    } finally {
      done();
    }
  }

  private async readNow<T>(what: string, look: () => Promise<T>): Promise<T> {
    await this.pause();
    if (this.isUnlucky(this.world.faults.readFails)) {
      this.watchers.fairness.storeFailed();
      throw new StoreError(`the disk could not be read (${what})`);
    }
    const found = await look();
    await this.pause();
    return found;
  }

  private isUnlucky(probability: number): boolean {
    return this.world.isChaotic && this.world.chance.happens(probability);
  }

  /** Time passes; a process that dies meanwhile does not go on. */
  private pause(): Promise<void> {
    if (!this.life.isAlive) return silence();
    const { queue, chance, faults, isChaotic } = this.world;
    const slow = isChaotic && chance.happens(faults.slowStore);
    return new Promise((resolve) => {
      queue.schedule(slow ? chance.between(5, 2_000) : chance.between(0.02, 1), () => {
        if (this.life.isAlive) resolve();
      });
    });
  }
}
