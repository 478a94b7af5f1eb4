import type { CallInfo, CallInfoPage, CallOutcome, Census, NewCall, WaitOptions } from './core/calls.js';
import { Core, type SchedulerParts } from './core/core.js';
import { Inspection } from './core/inspection.js';
import type { FunctionPolicy, Milliseconds, SchedulerOptions } from './core/options.js';
import { recover } from './core/recovery.js';
import type { Accept } from './core/intake.js';
import { unknownCall } from './core/waits.js';
import type { CallerTransaction, CallFilter, DispatchId } from './store.js';

const DEFAULT_GRACE: Milliseconds = 10_000;

/** The scheduler does not run: it was not started, or was stopped. */
export class SchedulerStoppedError extends Error {
  override readonly name = 'SchedulerStoppedError';
}

/**
 * Runs durable functions: keeps their calls in a store, has a transport run them, and makes up for whatever fails.
 *
 * Everything that is not pure is handed in, so that the same code runs in production, in tests and in a simulation:
 *
 * ```ts
 * const scheduler = new Scheduler({ store, transport, clock: new SystemClock(), random: secureRandom(), log });
 * await scheduler.start();
 * const [id] = await scheduler.dispatch([{ endpoint, function: 'Pipeline.run', input }]);
 * const { result } = await scheduler.wait(id);
 * ```
 *
 * One process owns the store, unless that is a `SharedStore`, such as PostgreSQL: then any number of schedulers work on it,
 * each with calls of its own. All methods but `start`, `setFunctions` and `stop` reject with a `SchedulerStoppedError`
 * before the start is done and once the stop has begun.
 */
export class Scheduler {
  private readonly core: Core;
  private readonly inspection: Inspection;
  private phase: 'new' | 'starting' | 'started' | 'stopping' | 'stopped' = 'new';
  private starting: Promise<void> | undefined;
  private stopped: Promise<void> | undefined;

  constructor(parts: SchedulerParts, options: SchedulerOptions = {}) {
    this.core = new Core(parts, options);
    this.inspection = new Inspection(this.core);
  }

  /**
   * Opens the store and takes up the work that is in it.
   *
   * @throws StoreError when the store cannot be opened or read
   */
  async start(): Promise<void> {
    if (this.phase !== 'new') throw new SchedulerStoppedError(`the scheduler is ${this.phase}: create a new one`);
    this.phase = 'starting';
    this.starting = this.takeUp().catch((error: unknown) => {
      this.phase = 'stopped';
      throw error;
    });
    return this.starting;
  }

  /**
   * Starts nothing more, waits for the runs in flight, aborts the signals of those that take too long, and closes the
   * store. What is not done is taken up by the next start.
   *
   * @param options.grace how long runs may go on, in milliseconds. Default 10,000.
   */
  stop(options: { readonly grace?: Milliseconds } = {}): Promise<void> {
    this.stopped ??= this.shutDown(options.grace ?? DEFAULT_GRACE);
    return this.stopped;
  }

  /**
   * Records calls, all or none, and resolves with their ids, in order, once they are durable. It does not wait for them
   * to run.
   *
   * @param accept is handed each call that has its id already, and its place among the calls; it throws to refuse, and
   * then none of them is made
   * @throws InvalidArgumentError when a call is wrong; the message says which and why
   * @throws StoreError when they could not be recorded
   */
  async dispatch(calls: readonly NewCall[], accept: Accept = () => undefined): Promise<DispatchId[]> {
    this.requireStarted();
    return this.core.intake.dispatch(calls, accept);
  }

  /**
   * Writes calls in a transaction of the application, in the database of the store, and resolves with their ids: they are
   * there if and only if that is committed, and start then, in whichever process has time.
   *
   * @param accept is handed each call that has its id already, and its place among the calls; it throws to refuse
   * @throws InvalidArgumentError when a call is wrong, or the store or the transaction cannot do this; the message says why
   */
  async dispatchIn(
    transaction: CallerTransaction,
    calls: readonly NewCall[],
    accept: Accept = () => undefined,
  ): Promise<DispatchId[]> {
    this.requireStarted();
    return this.core.intake.dispatchIn(transaction, calls, accept);
  }

  /**
   * Resolves when the call has finished, also when that was long ago.
   *
   * @throws NotFoundError when there is no such call, or no more
   * @throws TimeoutError after `timeout` milliseconds
   */
  async wait(id: DispatchId, options: WaitOptions = {}): Promise<CallOutcome> {
    this.requireStarted();
    return this.core.waits.wait(id, options);
  }

  async get(id: DispatchId): Promise<CallInfo | undefined> {
    this.requireStarted();
    return this.inspection.get(id);
  }

  /** Calls that all of the filter holds for, the newest first. */
  async list(
    filter: CallFilter = {},
    page: { readonly limit?: number; readonly after?: string } = {},
  ): Promise<CallInfoPage> {
    this.requireStarted();
    return this.inspection.list(filter, { limit: page.limit ?? 100, after: page.after });
  }

  /**
   * Cancels a call and all that it has called. Calls that have not begun never will; running ones see their signal;
   * suspended ones are resumed once, so that `catch` and `finally` run. Resolves once that is durable: with false when
   * the call had finished already.
   *
   * @throws NotFoundError when there is no such call
   */
  async cancel(id: DispatchId): Promise<boolean> {
    this.requireStarted();
    const { core } = this;
    await core.sleepers.recall(id);
    const record = core.records.get(id);
    if (record === undefined || record.leaving) {
      const row = await core.store.get(id);
      if (row === undefined) throw unknownCall(id);
      if (row.finished !== undefined || core.fleet === undefined) return false;
      await core.fleet.cancel(id);
      return true;
    }
    const finished = record.finished !== undefined;
    if (!finished) core.cancellation.cancel(record);
    await core.commits.durable();
    return !finished;
  }

  /**
   * Takes up a call again that has come to a halt: a root that failed or was cancelled begins again from its first
   * input, under the same id; a call that is parked as `incompatible` goes on from its state.
   *
   * @throws NotFoundError when there is no such call
   * @throws InvalidArgumentError when there is nothing to retry; the message says why
   */
  async retry(id: DispatchId): Promise<void> {
    this.requireStarted();
    await this.core.sleepers.recall(id);
    return this.core.parking.retry(id);
  }

  /**
   * Says which functions the application at an endpoint has, and how their calls are treated. It takes the place of what
   * was said before, and may be called at any time, before the start as well.
   */
  setFunctions(endpoint: string, policies: readonly FunctionPolicy[]): void {
    const { core } = this;
    core.functions.setPolicies(endpoint, policies);
    core.fleet?.slots.limitsChanged();
    if (!core.active) return;
    for (const entry of core.functions.entriesOf(endpoint)) {
      entry.resume();
      core.keys.admitAll(entry);
    }
    core.admission.requestPump();
    core.parking.registered(endpoint);
    core.fleet?.functionsSet();
  }

  /** Counts the unfinished calls, by what they are doing. It looks at each of them. */
  census(): Census {
    return this.inspection.census();
  }

  /** Resolves when nothing is ready, running or being committed: then only time or a new call changes anything. */
  idle(): Promise<void> {
    return this.core.idle();
  }

  private async takeUp(): Promise<void> {
    const { core } = this;
    if (core.fleet) await core.fleet.open();
    else await this.openAlone();
    this.phase = 'started';
    if (!core.settings.run) return;
    core.active = true;
    core.parking.started();
    for (const record of core.records.values()) {
      core.readiness.evaluate(record);
      core.sleepers.consider(record);
    }
    core.retention.start();
    core.fleet?.start();
  }

  private async openAlone(): Promise<void> {
    const { core } = this;
    await core.store.open();
    try {
      await recover(core);
    } catch (error) {
      core.timers.stop();
      await core.store.close();
      throw error;
    }
  }

  private async shutDown(grace: Milliseconds): Promise<void> {
    // A start that is under way is let finish: half of one could not be undone.
    if (this.phase === 'starting') await this.starting?.catch(() => undefined);
    if (this.phase === 'stopped') return;
    const opened = this.phase === 'started';
    this.phase = 'stopping';
    const { core } = this;
    core.active = false;
    await core.fleet?.stop();
    await core.runs.finish(grace);
    core.timers.stop();
    await core.commits.drain();
    await core.fleet?.keys.settle();
    core.admission.flushMarks();
    core.endIdling();
    core.waits.failAll(
      new SchedulerStoppedError('the scheduler was stopped before the call finished; it goes on later'),
    );
    if (opened) await core.store.close();
    this.phase = 'stopped';
  }

  private requireStarted(): void {
    if (this.phase === 'started') return;
    const what = this.phase === 'new' ? 'is not started: call start() first' : `is ${this.phase}`;
    throw new SchedulerStoppedError(`the scheduler ${what}`);
  }
}
