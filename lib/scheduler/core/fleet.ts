import { CancelledError } from '../../errors/index.js';
import type {
  BranchChanges,
  ClaimableFunctions,
  DispatchId,
  Mutation,
  Recovery,
  SharedStore,
  SharedStoreListener,
} from '../store.js';
import { Branches } from './branches.js';
import type { Core } from './core.js';
import { forgetCalls } from './eviction.js';
import { KeyLine } from './key-line.js';
import { Neighbours } from './neighbours.js';
import { NATIVE_ENDPOINT } from './native-waits.js';
import { Departures } from './departures.js';
import type { Milliseconds } from './options.js';
import type { CallRecord } from './record.js';
import { adopt } from './recovery.js';
import { Sharing } from './sharing.js';
import { Slots } from './slots.js';
import { StartRate } from './start-rate.js';
import { Task } from './timers.js';
import { Unserved } from './unserved.js';
import { Watches } from './watches.js';

/** How often the store is asked for what no notification told of: doubles while there is nothing. */
const SHORTEST_POLL: Milliseconds = 250;
const LONGEST_POLL: Milliseconds = 5_000;
/** Trees that are claimed at a time. */
const CLAIM_AT_ONCE = 500;
/** Calls that run or are ready, for each run that may be in flight, that a process has at hand at least. */
const LOAD_PER_RUN = 2;
/** Else it claims as many as it starts in this time. */
const AHEAD: Milliseconds = 1_000;
/** Calls of others that a process takes in however many it has of its own, so that they have their turns too. */
const GUESTS = 20;
/** How long the pace is measured. */
const PACE_OVER: Milliseconds = 250;
const FIRST_REJOIN: Milliseconds = 100;

/** This process among others that share its store: which calls it takes, which it leaves to others, and when it has lost all. */
export class Fleet implements SharedStoreListener {
  readonly watches: Watches;
  readonly branches: Branches;
  readonly departures: Departures;
  readonly keys: KeyLine;
  readonly slots: Slots;
  private readonly neighbours: Neighbours;
  private readonly sharing: Sharing;
  private readonly unserved: Unserved;
  private readonly poll = new Task(() => void this.look());
  private interval = SHORTEST_POLL;
  private readonly pace = new StartRate(PACE_OVER);
  /** There may be more to claim than there was room for. */
  private hasMore = true;
  /** Calls that were claimed beyond what there was room for, and may not have begun. */
  private readonly guests = new Set<CallRecord>();
  private claiming: Promise<void> | undefined;
  private rejoining: Promise<void> | undefined;
  private isOpen = false;
  /** The store knows the functions of this process. */
  private isRegistered = false;
  private hasFailed = false;

  constructor(
    private readonly core: Core,
    private readonly store: SharedStore,
  ) {
    this.watches = new Watches(core, store);
    this.branches = new Branches(core, store);
    this.keys = new KeyLine(core, store);
    this.neighbours = new Neighbours(store);
    this.departures = new Departures(core, this.neighbours);
    this.unserved = new Unserved(core, store);
    this.slots = new Slots(core, store, this.neighbours);
    const { neighbours, departures, slots } = this;
    this.sharing = new Sharing({ core, store, neighbours, departures, slots, pace: () => this.measurePace() });
  }

  async open(): Promise<void> {
    await this.store.open({ runs: this.core.settings.run, listener: this });
    this.isOpen = true;
    await this.register();
    await this.lookAtNeighbours();
    this.schedule();
  }

  /** The functions of this process are others than before. */
  functionsSet(): void {
    void this.register();
    this.claimable();
  }

  /** Takes up work. */
  start(): void {
    void this.look();
  }

  /** Claims nothing more. Resolves when what was begun is done. */
  async stop(): Promise<void> {
    this.isOpen = false;
    this.core.timers.clear(this.poll);
    this.sharing.stop();
    await this.claiming;
    await this.branches.rest();
    await this.rejoining;
  }

  /** Others may go on with the calls of this process: it has not heard of its lease for too long. */
  get isOutOfTouch(): boolean {
    return this.store.isOutOfTouch;
  }

  /** Whether a new root is for any process to claim, rather than for this one. */
  givesAway(endpoint: string, name: string, key: string): boolean {
    const { settings, active, functions, keys } = this.core;
    if (!settings.run || !active || !functions.runsHere(endpoint, name)) return true;
    if (keys.isCrowded(endpoint, name, key)) return true;
    return this.neighbours.count > 0 && this.slots.isCrowded(endpoint, name);
  }

  /** Whether a new child is for any process to claim, and begins a branch. */
  branchesOff({ endpoint, function: name }: { readonly endpoint: string; readonly function: string }): boolean {
    return endpoint !== NATIVE_ENDPOINT && !this.core.functions.runsHere(endpoint, name);
  }

  /** Whether calls of the function wait for a process that has it, as far as is known here. */
  isNowhere(endpoint: string, name: string): boolean {
    const { core, neighbours } = this;
    const here = core.settings.run && core.functions.runsHere(endpoint, name);
    const isDeclared = core.functions.declaredEndpoints().includes(endpoint) || neighbours.knows(endpoint);
    return isDeclared && !here && !neighbours.has(endpoint, name);
  }

  commit(mutations: readonly Mutation[], branches: BranchChanges | undefined): Promise<void> {
    return this.store.commit(mutations, branches);
  }

  /** A turn of the event loop is over: there may be room again. */
  turn(): void {
    this.measurePace();
    this.keys.flush();
    this.slots.flush();
    if (this.slots.takeRoom()) this.hasMore = true;
    if (this.isOpen) this.sharing.turn();
    if (this.hasMore && this.allowance > 0) this.claim();
  }

  /** Removes what is left behind in the store. */
  sweep(): Promise<void> {
    return this.store.sweep();
  }

  /** Has the process that has the call cancel it. */
  cancel(id: DispatchId): Promise<void> {
    return this.store.requestCancel(id);
  }

  claimable(): void {
    this.hasMore = true;
    this.turn();
  }

  workWanted(count: number): void {
    if (this.mayClaim) this.sharing.wanted(count);
  }

  workOffered(by: number): void {
    if (this.mayClaim) void this.sharing.offered(by);
  }

  functionsChanged(): void {
    if (this.isOpen) void this.lookAtNeighbours().then(() => this.slots.changed());
  }

  ended(id: DispatchId): void {
    this.watches.ended(id);
  }

  branchesEnded(): void {
    if (this.isOpen) void this.branches.look();
  }

  keyGiven(id: DispatchId): void {
    this.keys.give(id);
  }

  slotsChanged(): void {
    this.slots.changed();
  }

  leaseRegained(): void {
    this.core.admission.requestPump();
  }

  cancelRequested(): void {
    void this.carryOutCancels();
  }

  warn(message: string): void {
    this.core.log.warn(message);
  }

  /** What is in memory is not true any more: this process begins again, as a new one. */
  ownershipLost(): void {
    this.rejoining ??= this.rejoin().finally(() => (this.rejoining = undefined));
  }

  private get capacity(): number {
    return Math.max(LOAD_PER_RUN * this.core.settings.concurrency, Math.ceil(this.pace.perMillisecond * AHEAD));
  }

  private measurePace(): number {
    const { clock, admission } = this.core;
    this.pace.measure(clock.now(), admission.started);
    return this.pace.perMillisecond;
  }

  private get room(): number {
    return this.capacity - this.core.admission.load + this.slots.waiting;
  }

  /** How many trees may be claimed now: none rather than few. */
  private get allowance(): number {
    const { room, guestRoom } = this;
    if (room >= this.capacity / 2) return Math.min(CLAIM_AT_ONCE, room);
    return guestRoom >= GUESTS / 2 ? guestRoom : 0;
  }

  private get guestRoom(): number {
    for (const guest of this.guests) if (!this.core.admission.isReady(guest)) this.guests.delete(guest);
    return GUESTS - this.guests.size;
  }

  private get mayClaim(): boolean {
    const { core } = this;
    return this.isOpen && core.active && !core.outage.isPaused && this.rejoining === undefined;
  }

  private async look(): Promise<void> {
    if (!this.isOpen) return;
    this.hasMore = true;
    this.claim();
    this.watches.lookAtAll();
    await Promise.all([
      this.claiming,
      this.keys.look(),
      this.slots.look(),
      this.carryOutCancels(),
      this.lookAtNeighbours(),
      this.branches.look(),
      this.unserved.look(),
    ]);
    if (!this.isRegistered) await this.register();
    this.interval = Math.min(LONGEST_POLL, this.interval * 2);
    this.schedule();
  }

  private async lookAtNeighbours(): Promise<void> {
    await this.neighbours.look();
    this.slots.limitsChanged();
    if (!this.core.active) return;
    this.core.parking.neighboursChanged();
    // There may be somebody now who has time, and nothing else may happen here for long.
    this.turn();
  }

  private schedule(): void {
    if (!this.isOpen) return;
    const { clock, random, timers } = this.core;
    // Processes that have started together do not ask together for ever.
    timers.set(this.poll, clock.now() + this.interval * (0.75 + random() / 2));
  }

  private claim(): void {
    if (this.claiming !== undefined || !this.mayClaim) return;
    this.claiming = this.claimWhileThereIsRoom().finally(() => {
      this.claiming = undefined;
    });
  }

  private async claimWhileThereIsRoom(): Promise<void> {
    try {
      while (this.hasMore && this.mayClaim) {
        const { room, allowance } = this;
        if (allowance === 0) return;
        this.hasMore = false;
        const recovery = await this.store.claim(allowance, this.claimableFunctions());
        this.hasFailed = false;
        if (recovery.calls.length === 0) continue;
        await this.takeIn(recovery);
        if (room < allowance) this.welcome(recovery);
      }
    } catch (error) {
      // The next poll tries again.
      this.hasMore = false;
      this.report(error);
    }
  }

  /** Says it once, until the store works again. */
  private report(error: unknown): void {
    if (this.hasFailed || this.rejoining !== undefined) return;
    this.hasFailed = true;
    const reason = error instanceof Error ? error.message : String(error);
    this.core.log.warn(`Calls of other processes could not be taken over: ${reason} It is tried again.`);
  }

  private async takeIn(recovery: Recovery): Promise<void> {
    this.hasMore = true;
    // What others were claiming at the same moment was passed over, and may be left.
    this.interval = SHORTEST_POLL;
    this.schedule();
    // Where calls belong that cannot go on here has to be known as it is now, or they would come back.
    if (recovery.calls.some((call) => this.departures.mayLeave(call))) await this.neighbours.look();
    // One that is to be cancelled does not begin here.
    await adopt(this.core, recovery, () => this.cancelAll(recovery.toCancel ?? []));
    await this.carryOutCancels();
    void this.branches.look();
  }

  private welcome({ calls }: Recovery): void {
    for (const { header } of calls) {
      const record = this.core.records.get(header.id);
      if (record !== undefined) this.guests.add(record);
    }
  }

  private claimableFunctions(): ClaimableFunctions {
    const { functions } = this.core;
    const known = functions
      .declaredEntries()
      .map((fn) => ({ endpoint: fn.endpoint, function: fn.name, most: this.slots.roomFor(fn) }));
    return { endpoints: functions.declaredEndpoints(), functions: known };
  }

  private async carryOutCancels(): Promise<void> {
    const { core, store } = this;
    if (!core.active) return;
    try {
      const ids = (await store.requestedCancels()).filter((id) => core.records.get(id)?.leaving === false);
      if (ids.length === 0) return;
      this.cancelAll(ids);
      await core.commits.durable();
      await store.forgetCancels(ids);
    } catch {
      // They are still requested at the next poll.
      return;
    }
  }

  private cancelAll(ids: readonly DispatchId[]): void {
    for (const id of ids) {
      const record = this.core.records.get(id);
      if (record !== undefined && record.finished === undefined) this.core.cancellation.cancel(record);
    }
  }

  /** What cannot be written is written after the next look: others do not count on what they do not know of. */
  private async register(): Promise<void> {
    const { core, store } = this;
    this.isRegistered = false;
    try {
      await store.register(core.settings.run ? core.functions.registrations() : []);
      this.isRegistered = true;
    } catch {
      return;
    }
  }

  private async rejoin(): Promise<void> {
    const { core, store } = this;
    core.log.warn(
      `This process was out of touch with the store ${store.name} for longer than its lease of ${store.lease} ms: other ` +
        'processes go on with its calls. It begins again without them. Look for what held it up: a paused machine, a blocked ' +
        'event loop, a connection that was cut.',
    );
    core.active = false;
    const reason = new CancelledError(
      'the run was given up: its process was out of touch, and another one makes it again',
    );
    for (const run of [...core.admission.runs()]) core.runs.abort(run, reason);
    await this.claiming;
    await core.commits.drain();
    forgetCalls(core);
    this.keys.forgetAll();
    this.slots.forgetAll();
    this.watches.add(core.waits.ids());
    for (let pause = FIRST_REJOIN; this.isOpen; pause = Math.min(LONGEST_POLL, pause * 2)) {
      try {
        await store.rejoin();
        core.active = core.settings.run && this.isOpen;
        // It ends where it comes to its turn meanwhile.
        if (core.active) core.retention.start();
        break;
      } catch {
        await new Promise<void>((resolve) => core.clock.at(core.clock.now() + pause, resolve));
      }
    }
    this.hasMore = true;
    core.requestTurn();
  }
}
