import type { DispatchId } from '../store.js';
import type { Core } from './core.js';
import type { EndpointEntry } from './endpoint-entry.js';
import type { Milliseconds } from './options.js';
import { ReadyQueue } from './ready-queue.js';
import type { CallRecord } from './record.js';
import type { Run } from './run.js';
import { isSuspect, SUSPECT_AT, Suspects } from './suspects.js';
import { Task } from './timers.js';

/** How long a suspect runs alone: doubles with each further crash that is counted for it. */
const ALONE_FOR: Milliseconds = 5_000;
/**
 * Uncommitted mutations above which no more runs start until a commit has taken them: whoever dispatches a call waits for
 * a commit of that size, and so does its result. New roots do not count: where they come faster than commits take them, no
 * run would start beside them.
 */
const BACKLOG_LIMIT = 300;
/** The same where a commit goes to a server and back: with fewer, runs would stand still during the commit before. */
const SHARED_BACKLOG_LIMIT = 1_000;

/** Lets ready calls start: in order, within the limits, suspects first and alone. */
export class Admission {
  private readonly ready: ReadyQueue;
  private readonly suspects: Suspects;
  private readonly running = new Set<Run>();
  /** The suspect that was started last: of those that run, the only one that a crash is counted for. */
  private suspect: Run | undefined;
  /** The suspect that runs alone. */
  private alone: Run | undefined;
  private readonly aloneUntil = new Task(() => this.endAlone());
  private startedThisTurn = 0;
  /** Runs that were started since the beginning. */
  started = 0;
  private pumpRequested = false;
  private markedEnded: DispatchId[] = [];
  private whenNoneRuns: (() => void)[] = [];

  /** Endpoints that must leave the slots that are left to others. */
  private readonly crowding = new Set<EndpointEntry>();

  constructor(private readonly core: Core) {
    const admits = (endpoint: EndpointEntry) => this.admits(endpoint);
    this.ready = new ReadyQueue(admits);
    this.suspects = new Suspects(admits);
  }

  get isIdle(): boolean {
    const noneMayStart = !this.ready.hasTurn && !this.suspects.hasTurn;
    return this.running.size === 0 && (noneMayStart || this.core.outage.isPaused) && !this.pumpRequested;
  }

  /** Calls that run or could run now. */
  get load(): number {
    return this.running.size + this.ready.size + this.suspects.size;
  }

  /** Whether the call waits for its turn, and for nothing else. */
  isReady(call: CallRecord): boolean {
    return call.queue === this.ready || this.suspects.has(call);
  }

  /** Runs in flight. */
  runs(): Iterable<Run> {
    return this.running;
  }

  /** Resolves when no run is in flight. */
  async quiet(): Promise<void> {
    if (this.running.size > 0) await new Promise<void>((resolve) => this.whenNoneRuns.push(resolve));
  }

  enqueue(record: CallRecord): void {
    if (record.header.key !== '' && !this.core.keys.take(record)) return;
    (isSuspect(record) ? this.suspects : this.ready).push(record);
    this.requestPump();
  }

  withdraw(record: CallRecord): void {
    record.queue?.remove(record);
  }

  /** Takes the place of a run that is being sent again. */
  exchange(run: Run, again: Run): void {
    this.running.delete(run);
    this.running.add(again);
    if (this.suspect === run) this.suspect = again;
    if (this.alone === run) this.alone = again;
  }

  /** The run is over: its slot is free for another call. */
  release(run: Run): void {
    this.running.delete(run);
    this.markedEnded.push(run.record.id);
    this.freeSlot(run);
    if (this.suspect === run) this.suspect = undefined;
    if (this.alone === run) this.endAlone();
    if (this.running.size === 0) {
      for (const resolve of this.whenNoneRuns.splice(0)) resolve();
    }
    this.requestPump();
  }

  nextTurn(): void {
    this.startedThisTurn = 0;
    this.pump();
    this.flushMarks();
  }

  /** Tells the store which runs have ended, where that has not been done. */
  flushMarks(): void {
    this.mark([]);
  }

  /** Starts what may start once the code that is running now is done, so that all it does is seen at once. */
  requestPump(): void {
    if (this.pumpRequested) return;
    this.pumpRequested = true;
    void Promise.resolve().then(() => this.pump());
    this.core.requestTurn();
  }

  /** Tells the store which runs have ended, with those that are about to start. */
  private mark(started: readonly Run[]): void {
    if (started.length === 0 && this.markedEnded.length === 0) return;
    const ended = this.markedEnded;
    this.markedEnded = [];
    try {
      this.core.store.markRunning(
        started.map((run) => run.record.id),
        ended,
      );
    } catch (error) {
      this.markedEnded = [...ended, ...this.markedEnded];
      // Only the count of crashes depends on it.
      this.core.outage.marksFailed(error);
    }
  }

  private pump(): void {
    this.pumpRequested = false;
    const now = this.core.clock.now();
    const started: Run[] = [];
    while (this.mayStart()) {
      const record = this.suspects.take() ?? this.ready.take();
      if (record === undefined) break;
      if (this.core.readiness.mayRun(record, now)) this.admit(record, started);
      else this.core.readiness.evaluate(record);
    }
    if (started.length === 0) return;
    this.core.requestTurn();
    this.mark(started);
    for (const run of started) this.core.runs.send(run);
  }

  private mayStart(): boolean {
    return (
      this.core.active &&
      !this.core.outage.isPaused &&
      this.alone === undefined &&
      this.running.size < this.core.settings.concurrency &&
      this.startedThisTurn < this.core.settings.startsPerTurn &&
      this.core.commits.backlog < this.backlogLimit &&
      this.core.fleet?.isOutOfTouch !== true
    );
  }

  private get backlogLimit(): number {
    return this.core.fleet === undefined ? BACKLOG_LIMIT : SHARED_BACKLOG_LIMIT;
  }

  private admit(record: CallRecord, started: Run[]): void {
    const { fn } = record;
    const run = this.core.runs.begin(record, fn.policy(record.version));
    this.running.add(run);
    fn.running += 1;
    fn.started += 1;
    fn.host.running += 1;
    this.core.pacing.began(run);
    this.startedThisTurn += 1;
    this.started += 1;
    started.push(run);
    if (isSuspect(record)) this.watch(run);
  }

  /** Lets a suspect run alone. The one before it has run long enough: should the process end now, it is not counted for it. */
  private watch(run: Run): void {
    const { clock, timers } = this.core;
    if (this.suspect !== undefined) this.markedEnded.push(this.suspect.record.id);
    this.suspect = run;
    this.alone = run;
    timers.set(this.aloneUntil, clock.now() + aloneFor(run.record));
  }

  /** Whether an endpoint may be given a call now; it is asked again once that may have changed. */
  private admits(endpoint: EndpointEntry): boolean {
    const { pacing, settings } = this.core;
    if (!pacing.admits(endpoint)) return false;
    if (pacing.leavesRoom(endpoint, settings.concurrency - this.running.size)) return true;
    this.crowding.add(endpoint);
    return false;
  }

  /** Lets calls have their turn again that waited for what the run had. */
  private freeSlot(run: Run): void {
    const { fn } = run;
    const { host } = fn;
    this.core.pacing.ended(run);
    fn.running -= 1;
    fn.resume();
    host.running -= 1;
    host.resume();
    if (this.crowding.size === 0) return;
    for (const endpoint of this.crowding) endpoint.resume();
    this.crowding.clear();
  }

  private endAlone(): void {
    this.alone = undefined;
    this.core.timers.clear(this.aloneUntil);
    this.requestPump();
  }
}

/** The more crashes were counted for a call, the more it is worth to know. */
function aloneFor({ progress }: CallRecord): Milliseconds {
  return ALONE_FOR * 2 ** (progress.crashes - SUSPECT_AT);
}
