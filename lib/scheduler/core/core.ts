import type { Checkpoint, Clock } from '../../protocol/index.js';
import { isShared, type BranchChanges, type DispatchId, type Mutation, type Store } from '../store.js';
import type { Transport } from '../transport.js';
import { Admission } from './admission.js';
import { Cancellation } from './cancellation.js';
import { CommitLog, type Batch, type CommitHost } from './commit-log.js';
import { Completion } from './completion.js';
import { Delivery } from './delivery.js';
import { Fleet } from './fleet.js';
import { FunctionTable } from './function-table.js';
import { Intake } from './intake.js';
import { KeyQueues } from './key-queues.js';
import { NativeWaits } from './native-waits.js';
import { settingsOf, type SchedulerLog, type SchedulerOptions, type Settings } from './options.js';
import { Outage } from './outage.js';
import { Outcomes } from './outcomes.js';
import { Pacing } from './pacing.js';
import { Parking } from './parking.js';
import { Payloads } from './payloads.js';
import { Polls } from './polls.js';
import type { Random } from './random.js';
import { Readiness } from './readiness.js';
import { CallRecord } from './record.js';
import type { Run, RunHost } from './run.js';
import { Retention } from './retention.js';
import { Runs } from './runs.js';
import { Sleepers } from './sleepers.js';
import { Timers } from './timers.js';
import { Waits } from './waits.js';

/** All that is not pure, handed in. */
export interface SchedulerParts {
  readonly store: Store;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: SchedulerLog;
}

/** What the rooms of the scheduler share: the unfinished calls, the parts handed in, and each other. */
export class Core implements CommitHost, RunHost {
  readonly store: Store;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: SchedulerLog;
  readonly settings: Settings;

  /** Every unfinished call, and those whose end is being committed; without those that have left memory to sleep. */
  readonly records = new Map<DispatchId, CallRecord>();
  /** Whether calls are run: not before the start is done, not once the stop has begun. */
  active = false;

  /**
   * Calls that were running when an earlier process died, and that the store does not know: made again, they start only
   * once it does, so that a call that ends the process at once is found out.
   */
  readonly cutShort = new Set<DispatchId>();
  /** Finished calls that are being removed from the store. */
  readonly purging = new Set<DispatchId>();

  readonly functions = new FunctionTable((endpoint) => this.pacing.entry(endpoint));
  readonly payloads: Payloads;
  readonly timers: Timers<CallRecord>;
  readonly commits = new CommitLog(this);
  readonly readiness = new Readiness(this);
  readonly keys = new KeyQueues(this);
  readonly pacing = new Pacing(this);
  readonly admission = new Admission(this);
  readonly runs = new Runs(this);
  readonly delivery = new Delivery(this);
  readonly outcomes = new Outcomes(this);
  readonly polls = new Polls(this);
  readonly completion = new Completion(this);
  readonly cancellation = new Cancellation(this);
  readonly parking = new Parking(this);
  readonly waits = new Waits(this);
  readonly nativeWaits = new NativeWaits(this);
  readonly outage = new Outage(this);
  readonly intake = new Intake(this);
  readonly retention = new Retention(this);
  readonly sleepers: Sleepers;
  /** Where other processes share the store. */
  readonly fleet: Fleet | undefined;

  private turnRequested = false;
  private idlers: (() => void)[] = [];

  constructor(parts: SchedulerParts, options: SchedulerOptions) {
    this.store = parts.store;
    this.transport = parts.transport;
    this.clock = parts.clock;
    this.random = parts.random;
    this.log = parts.log;
    this.settings = settingsOf(options);
    this.payloads = new Payloads(this.settings.payloadMemory);
    this.sleepers = new Sleepers(this);
    this.timers = new Timers(this.clock, (record) => this.readiness.due(record));
    this.fleet = isShared(this.store) ? new Fleet(this, this.store) : undefined;
  }

  /** Takes an unfinished call into memory. */
  add(record: CallRecord): void {
    this.records.set(record.id, record);
    record.fn.calls += 1;
  }

  /** Whether the call has not ended, and is this process's. */
  isUnfinished(id: DispatchId): boolean {
    return this.records.has(id) || this.sleepers.has(id);
  }

  /** Does what is put off to the end of this turn of the event loop. */
  requestTurn(): void {
    if (this.turnRequested) return;
    this.turnRequested = true;
    this.clock.defer(() => this.turn());
  }

  /** Resolves when nothing is ready, running or being committed. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.idlers.push(resolve);
      this.requestTurn();
    });
  }

  commit(mutations: readonly Mutation[], branches: BranchChanges | undefined): Promise<void> {
    return this.fleet ? this.fleet.commit(mutations, branches) : this.store.commit(mutations);
  }

  committed(batch: Batch): void {
    this.outage.commitSucceeded();
    for (const ended of batch.ended) {
      if (ended instanceof CallRecord) this.completion.reveal(ended);
      else this.fleet?.branches.reveal(ended);
    }
    for (const departure of batch.departures) this.fleet?.departures.reveal(departure);
    for (const record of batch.touched) {
      if (record.finished || !this.commits.isCommitted(record)) continue;
      record.speculative = false;
      this.delivery.trim(record);
      this.readiness.evaluate(record);
      this.sleepers.consider(record);
    }
    for (const record of batch.cancelled) this.cancellation.signal(record);
    this.admission.requestPump();
  }

  lost(batches: readonly Batch[], error: unknown): void {
    this.outage.commitFailed(batches, error);
  }

  checkpoint(run: Run, checkpoint: Checkpoint): Promise<void> {
    return this.polls.checkpoint(run, checkpoint);
  }

  wake(run: Run): void {
    this.readiness.wake(run);
  }

  released(run: Run): void {
    this.readiness.released(run);
  }

  private turn(): void {
    this.turnRequested = false;
    if (!this.outage.isPaused || this.commits.isAwaited) this.commits.flush();
    this.admission.nextTurn();
    this.fleet?.turn();
    this.checkIdle();
  }

  /** Each step towards idleness requests a turn, so it is enough to look at the end of one. */
  private checkIdle(): void {
    if (this.idlers.length === 0 || this.turnRequested) return;
    const { commits, admission, outage, nativeWaits, sleepers } = this;
    // While the store is given time to recover, what is ready or unwritten waits for nothing but the clock.
    const isWritten = commits.isIdle || (outage.isPaused && commits.isResting);
    const hasShares = this.fleet === undefined || (this.fleet.keys.isIdle && this.fleet.slots.isIdle);
    if (isWritten && admission.isIdle && !nativeWaits.isLooking && sleepers.isIdle && hasShares) this.endIdling();
  }

  /** Nobody is to wait for idleness any more. */
  endIdling(): void {
    const { idlers } = this;
    this.idlers = [];
    for (const resolve of idlers) resolve();
  }
}
