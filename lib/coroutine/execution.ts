import type { Any } from '@bufbuild/protobuf/wkt';
import type { Call } from '../gen/dispatch/sdk/v1/call_pb.js';
import type { RunRequest } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { Delivery, Operation as RecordedOperation, Round } from '../gen/nestjs_dispatch/v1/journal_pb.js';
import { IncompatibleStateError, PermanentError, Status } from '../errors/index.js';
import { StaleRunError, type Alarm, type JournalPosition, type RunAnswer, type RunContext } from '../protocol/index.js';
import { inputKey, unpackArguments } from '../values/index.js';
import { poll, refuse, toCall } from './answers.js';
import { withScope, type RunScope } from './context.js';
import { RequestedCall } from './current-call.js';
import { divergence } from './divergence.js';
import { DurablePromise } from './durable-promise.js';
import { exitOf, type Outcome } from './exit.js';
import {
  encodeStart,
  JOURNAL_MAX_BYTES,
  JOURNAL_WARN_BYTES,
  JOURNAL_WARN_ENTRIES,
  makeDelivery,
  samePosition,
} from './journal.js';
import { JournalWriter } from './journal-writer.js';
import type { Operation, OperationBase } from './operation.js';
import { PendingOperations } from './pending-operations.js';
import { ReplayPlan } from './replay-plan.js';
import type { Resumption, Services } from './services.js';
import { Settlement } from './settlement.js';
import { runStep } from './step-runner.js';
import { bareState, typedState } from './state.js';
import { Steps, type CompletedStep } from './steps.js';
import type { Settling } from './turn-end.js';
import type { CallSpec, DurableFunction, DurableRun } from './types.js';

/** How long a replay waits for calls that the journal has, while it looks as if the code did something else; milliseconds. */
const GRACE_PROMPT = 5_000;
/** The same where the function's own I/O lay before the missing calls. */
const GRACE_AFTER_IO = 60_000;
/** How long the first call with another input waits for the one that the journal has; milliseconds. */
const GRACE_ALIKE = 1_000;
/** Over the plain protocol nobody can be woken: a suspended function is looked after this often, at first and at most; milliseconds. */
const IDLE_WAIT = { first: 5_000, max: 300_000 };
/** Over the plain protocol a poll commits the results of steps; PROTOCOL: max_wait is at least 1 s. */
const SHORTEST_WAIT = 1_000;

/** A function that sleeps for longer need not be kept in memory; milliseconds. */
const LONG_SLEEP = 60_000;

type Warning = 'forgotten' | 'input' | 'late' | 'size';
type Phase = 'running' | 'suspended' | 'exited' | 'abandoned';

/**
 * One beginning of one call: the method's promise, what it waits for, and what was recorded of it. It is driven by
 * requests (`begin`, `replay`, `resume`) and by the method's own progress, and answers each request once.
 */
export class Execution implements DurableRun, RunScope, Settling {
  readonly id: string;
  readonly current: RequestedCall;
  phase: Phase = 'running';

  private readonly journal: JournalWriter;
  private readonly pending = new PendingOperations();
  private readonly settlement: Settlement;
  private readonly steps = new Steps();
  private context: RunContext | undefined;
  private attempt = 1;
  private answer: ((answer: RunAnswer) => void) | undefined;
  private outcome: Outcome | undefined;

  private lastSequence = 0;
  /** No turn of the event loop lies between the last delivery and now. */
  private prompt = true;
  /** A request that has still to be delivered: first come the rounds that the journal has. */
  private incoming: Resumption | undefined;
  /** Step results that a poll carried to the scheduler (plain protocol): the next request says that they are on disk. */
  private committing: CompletedStep[] = [];
  /** What is being committed while the function goes on: the results of steps, or a part of the calls that it has made. */
  private checkpointing: 'steps' | 'calls' | undefined;

  private plan: ReplayPlan | undefined;
  private round = 0;
  /** Made during a replay, and not in the journal. */
  private unmatched: Operation[] = [];
  private grace: Alarm | undefined;
  /** The code is known to call with other inputs than before. */
  private lenient = false;

  private idle = true;
  private idleWait = IDLE_WAIT.first;
  private woken = false;
  private readonly warned = new Set<Warning>();

  constructor(
    private readonly fn: DurableFunction,
    request: RunRequest,
    readonly incarnation: number,
    private readonly input: Any | undefined,
    private readonly services: Services,
  ) {
    this.id = request.dispatchId;
    this.journal = new JournalWriter(fn.version);
    this.settlement = new Settlement(this.pending, incarnation, `${fn.name} (${this.id})`);
    this.current = new RequestedCall(request, () => this.attempt);
  }

  // — requests —

  /** Runs the function from its beginning. */
  begin(resumption: Resumption): Promise<RunAnswer> {
    const answered = this.take(resumption);
    if (this.plain) this.journal.append(encodeStart(this.input, this.incarnation), { keep: true });
    this.invoke();
    return answered;
  }

  /** Runs the function again through all that the journal has, then goes on with the request's results. */
  replay(
    rounds: readonly Round[],
    position: JournalPosition,
    journal: Uint8Array,
    resumption: Resumption,
  ): Promise<RunAnswer> {
    const answered = this.take(resumption);
    this.journal.continue(journal, position, rounds, { keep: this.plain });
    for (const { operations } of rounds) {
      for (const { sequence } of operations) this.lastSequence = Math.max(this.lastSequence, sequence);
    }
    this.incoming = resumption;
    if (rounds.length > 0) this.plan = new ReplayPlan(rounds);
    this.invoke();
    return answered;
  }

  /** Whether the scheduler's journal is the one that this suspended instance has made. */
  canResume(incarnation: number | undefined, position: JournalPosition): boolean {
    if (this.phase !== 'suspended' || !samePosition(this.journal.position, position)) return false;
    return incarnation === undefined || incarnation === this.incarnation;
  }

  /** Goes on where the suspended instance stands. */
  resume(resumption: Resumption): Promise<RunAnswer> {
    const answered = this.take(resumption);
    this.incoming = resumption;
    const committed = this.committing;
    this.committing = [];
    if (committed.length > 0) this.settleSteps(committed);
    else this.deliverIncoming();
    return answered;
  }

  /** Gives the instance up: its durable operations never settle, its answer is discarded. */
  abandon(): void {
    if (this.isOver) return;
    this.phase = 'abandoned';
    this.grace?.cancel();
    const reason = new StaleRunError(`This run of ${this.fn.name} was given up: a newer request goes on with it.`);
    this.reply(refuse(reason, Status.TEMPORARY_ERROR));
    this.current.abort(reason);
    this.context?.released();
  }

  /** Whether nothing but a distant timer lets the suspended function go on, I/O of its own aside. */
  sleepsLong(now: number): boolean {
    return this.pending.areTimers && (this.pending.nextDeadline() ?? now) - now > LONG_SLEEP;
  }

  /** Bytes of the journal so far. */
  get journalBytes(): number {
    return this.journal.position.bytes;
  }

  private get isOver(): boolean {
    return this.phase === 'exited' || this.phase === 'abandoned';
  }
  private get plain(): boolean {
    return this.context === undefined;
  }
  /** What a call of this application's own functions has as endpoint: our scheduler knows without being told. */
  private get ownEndpoint(): string {
    return this.plain ? this.services.endpointUrl : '';
  }

  private take({ context, attempt, signal }: Resumption): Promise<RunAnswer> {
    this.phase = 'running';
    this.context = context;
    this.attempt = attempt;
    this.woken = false;
    this.current.beginRun(signal);
    return new Promise((resolve) => (this.answer = resolve));
  }

  private reply(answer: RunAnswer): void {
    const resolve = this.answer;
    this.answer = undefined;
    resolve?.(answer);
  }

  private invoke(): void {
    let args: unknown[];
    try {
      args = unpackArguments(this.input);
    } catch (error) {
      this.phase = 'exited';
      return this.reply(refuse(error, Status.INVALID_ARGUMENT));
    }
    withScope(this, () => this.fn.invoke(args)).then(
      (value) => this.onOutcome({ value }),
      (error: unknown) => this.onOutcome({ error }),
    );
    this.services.turnEnd.schedule(this);
  }

  private onOutcome(outcome: Outcome): void {
    if (this.outcome !== undefined || this.isOver) return;
    this.outcome = outcome;
    this.idle = false;
    if (this.phase === 'suspended') return this.wake();
    const replaying = this.plan !== undefined || this.incoming !== undefined;
    if (!replaying && this.pending.size === 0 && !this.steps.inProgress && this.checkpointing === undefined) {
      this.exit(outcome);
    } else this.services.turnEnd.schedule(this);
  }

  // — operations that the function makes —

  get run(): DurableRun | undefined {
    return this.phase === 'exited' ? undefined : this;
  }

  onLate(): void {
    this.warnOnce('late', () =>
      [
        `${this.fn.name} has ended, but code that it started still calls durable functions (a pool, a listener or a timer`,
        `that was first touched in it): such calls run in place. Await them in the function, or start them outside of it.`,
      ].join(' '),
    );
  }

  call(spec: CallSpec): Promise<unknown> {
    return this.makeCall(spec);
  }

  gather(specs: readonly CallSpec[]): Promise<unknown[]> {
    return this.join(specs.map((spec) => this.makeCall(spec)));
  }

  /** Whether the promise is one of this run's own. */
  owns(promise: unknown): promise is DurablePromise<unknown> {
    return promise instanceof DurablePromise && promise.owner === this;
  }

  /** Joins promises of this run: they count as awaited by one `gather`. */
  join<T>(promises: readonly DurablePromise<T>[]): Promise<T[]> {
    const group = { outstanding: 0 };
    // What is itself a join is awaited as such; an operation counts for this group once somebody awaits the group.
    const all = Promise.all(promises.map((promise) => (promise.operation === undefined ? promise : promise.quietly())));
    const joined = DurablePromise.pending<T[]>(this, () => {
      for (const { operation } of promises) if (operation !== undefined) this.pending.await(operation, group);
      this.progress();
    });
    all.then(
      (values) => joined.resolve(values),
      (error: unknown) => joined.reject(error),
    );
    return joined;
  }

  private makeCall(spec: CallSpec): DurablePromise<unknown> {
    return this.make((base) => ({ ...base, kind: 'call', spec, inputKey: inputKey(spec.input) }));
  }

  /** @param duration milliseconds */
  sleep(duration: number): Promise<void> {
    const deadline = Math.min(Math.ceil(this.services.clock.now() + duration), Number.MAX_SAFE_INTEGER);
    return this.make((base) => ({ ...base, kind: 'timer', duration, deadline })) as Promise<void>;
  }

  step<T>(code: (step: { readonly key: string }) => T | Promise<T>, { name = '' }: { name?: string } = {}): Promise<T> {
    const run = (key: string): unknown => code({ key });
    return this.make((base) => ({ ...base, kind: 'step', name, run })) as Promise<T>;
  }

  /** Replaces this call by another; the calling code never goes on. */
  tailCall(spec: CallSpec): Promise<never> {
    this.onOutcome({ tailCall: spec });
    return new Promise<never>(() => {});
  }

  private make(build: (base: OperationBase) => Operation): DurablePromise<unknown> {
    const promise = DurablePromise.pending<unknown>(this, () => {
      this.pending.await(operation, undefined);
      this.progress();
    });
    const { prompt } = this;
    const operation = build({
      sequence: 0,
      settled: false,
      awaited: false,
      group: undefined,
      prompt,
      beforeDelivery: this.checkpointing === 'steps' || this.committing.length > 0,
      promise,
    });
    promise.operation = operation;
    if (this.isOver) return promise;
    this.grace?.cancel();
    this.grace = undefined;
    const recorded = this.plan?.take(operation);
    if (recorded !== undefined) this.adopt(operation, recorded);
    else if (this.outcome?.tailCall !== undefined) return promise;
    else if (this.plan !== undefined) this.unmatched.push(operation);
    else this.admit(operation);
    this.progress();
    return promise;
  }

  /** Gives a new operation its place in the open round. */
  private admit(operation: Operation): void {
    operation.sequence = ++this.lastSequence;
    this.journal.add(operation);
    this.pending.add(operation);
    if (operation.kind === 'step') this.steps.hold(operation);
  }

  /** Takes an operation for the recorded one that it repeats. */
  private adopt(operation: Operation, { sequence, kind }: RecordedOperation): void {
    operation.sequence = sequence;
    if (operation.kind === 'timer' && kind.case === 'timer') operation.deadline = Number(kind.value.deadline);
    this.pending.add(operation);
    if (operation.kind === 'step') this.steps.hold(operation);
  }

  /** Something changed that may let the run go on or end. */
  private progress(): void {
    this.idle = false;
    if (this.phase === 'suspended') return this.wake();
    if (this.phase !== 'running') return;
    this.startSteps();
    this.services.turnEnd.schedule(this);
  }

  /** A suspended instance has work again: its own I/O came back. */
  private wake(): void {
    const hasWork = this.outcome !== undefined || this.steps.hasHeld || this.journal.countUntold > 0;
    if (this.woken || !hasWork) return;
    this.woken = true;
    this.context?.wake();
  }

  // — steps —

  private startSteps(): void {
    if (this.plan !== undefined || this.incoming !== undefined || this.outcome?.tailCall !== undefined) return;
    const { clock, random } = this.services;
    const retry = this.fn.retry ?? {};
    this.steps.start(
      ({ run, sequence }) => {
        const key = `${this.id}:${this.incarnation}:${sequence}`;
        return runStep(() => run(key), { retry, current: this.current, clock, random });
      },
      this.fn.name,
      () => this.services.turnEnd.schedule(this),
    );
  }

  /** Commits the results of steps, with all that was made so far, and lets the function go on. */
  private checkpoint(context: RunContext): void {
    const { journal, calls, steps } = this.writeSteps();
    this.commit('steps', context, journal, calls, () => this.settleSteps(steps));
  }

  /**
   * Commits a part of the calls that were made at once. They are in rounds of their own, which no delivery begins, so that
   * each part is whole by itself: a replay makes the calls again, and those that are not recorded are new.
   */
  private recordPart(context: RunContext): void {
    const { journal, told } = this.journal.takePart(this.services.callsPerCommit);
    this.commit('calls', context, journal, this.callsOf(told), () => this.services.turnEnd.schedule(this));
  }

  private commit(
    what: 'steps' | 'calls',
    context: RunContext,
    journal: Uint8Array,
    calls: Call[],
    goOn: () => void,
  ): void {
    if (this.isTooLarge()) return;
    this.checkpointing = what;
    context.checkpoint({ journal, position: this.journal.position, calls }).then(
      () => {
        this.checkpointing = undefined;
        if (this.phase === 'running') goOn();
      },
      // The call is not this run's any more, or what it did could not be recorded: somebody goes on from the journal.
      () => this.abandon(),
    );
  }

  private writeSteps(): { journal: Uint8Array; calls: Call[]; steps: CompletedStep[] } {
    const steps = this.steps.takeCompleted();
    const calls = this.submitCalls();
    this.journal.open(makeDelivery(this.services.clock.now(), { steps: steps.map(({ result }) => result) }));
    return { journal: this.journal.take({ keep: this.plain }), calls, steps };
  }

  private settleSteps(steps: readonly CompletedStep[]): void {
    this.prompt = true;
    for (const step of steps) this.settlement.settleStep(step);
    this.services.turnEnd.schedule(this);
  }

  // — the end of a turn —

  onTurnEnd(): void {
    if (this.phase !== 'running') return;
    this.prompt = false;
    if (this.plan !== undefined) this.replayOn(this.plan);
    else if (this.incoming !== undefined) this.deliverIncoming();
    else this.goOnOrSuspend();
  }

  private goOnOrSuspend(): void {
    this.startSteps();
    if (this.checkpointing !== undefined) return;
    if (this.outcome !== undefined && this.mayExit(this.outcome)) return this.exit(this.outcome);
    if (this.context !== undefined && this.journal.countUntold > this.services.callsPerCommit) {
      return this.recordPart(this.context);
    }
    if (this.steps.hasCompleted && this.context !== undefined) return this.checkpoint(this.context);
    if (this.steps.running > 0) return;
    if (this.steps.hasCompleted) return this.suspendToCommitSteps();
    if (this.outcome !== undefined || this.pending.hasAwaited()) this.suspend();
    // Otherwise the function waits for I/O of its own.
  }

  /** A method that ended waits for the calls that nobody awaited, and for its steps. */
  private mayExit(outcome: Outcome): boolean {
    if (outcome.tailCall !== undefined) return true;
    if (this.steps.inProgress) return false;
    const forgotten = this.pending.forgottenCalls();
    if (forgotten.size === 0) return true;
    this.warnOnce('forgotten', () => {
      const names = [...new Set([...forgotten].map(({ spec }) => spec.function))].join(', ');
      return `${this.fn.name} ended without awaiting its calls of ${names}: it waits for them. Add the missing await.`;
    });
    return false;
  }

  private exit(outcome: Outcome): void {
    this.phase = 'exited';
    const { fn, attempt, ownEndpoint } = this;
    const { deliveredErrors } = this.settlement;
    this.reply(
      exitOf(outcome, { fn, attempt, ownEndpoint, deliveredErrors, fallback: this.services.defaultErrorStatus }),
    );
  }

  private suspend(): void {
    const calls = this.submitCalls();
    const journal = this.journal.take({ keep: this.plain });
    this.answerPoll(calls, journal, this.maxWait());
  }

  /** The plain protocol knows no checkpoint: a poll makes the results of steps durable. */
  private suspendToCommitSteps(): void {
    const { calls, journal, steps } = this.writeSteps();
    this.committing = steps;
    this.answerPoll(calls, journal, SHORTEST_WAIT);
  }

  private answerPoll(calls: Call[], journal: Uint8Array, maxWait: number | undefined): void {
    if (this.isTooLarge()) return;
    this.phase = 'suspended';
    this.reply(
      poll({
        state: this.plain ? typedState(this.journal.whole()) : bareState(journal),
        appended: this.plain ? undefined : this.journal.position,
        calls,
        maxWait: maxWait === undefined || !this.plain ? maxWait : Math.max(SHORTEST_WAIT, maxWait),
        // A foreign scheduler would hold the first failure back until all results are there.
        minResults: this.plain ? 1 : this.pending.resultsWorthWaitingFor(),
      }),
    );
  }

  private maxWait(): number | undefined {
    const deadline = this.pending.nextDeadline();
    const untilTimer = deadline === undefined ? Infinity : Math.max(0, deadline - this.services.clock.now());
    // Over the extension an instance asks for a resume; one that is given up has nothing to ask for.
    if (!this.plain || !this.services.keepsInstances) return untilTimer === Infinity ? undefined : untilTimer;
    this.idleWait = this.idle ? Math.min(this.idleWait * 2, IDLE_WAIT.max) : IDLE_WAIT.first;
    this.idle = true;
    return Math.min(untilTimer, this.idleWait);
  }

  private submitCalls(): Call[] {
    return this.callsOf(this.journal.takeUntold());
  }

  private callsOf(operations: readonly Operation[]): Call[] {
    const calls: Call[] = [];
    for (const operation of operations) {
      if (operation.kind !== 'call') continue;
      const correlationId = (BigInt(this.incarnation) << 32n) | BigInt(operation.sequence);
      calls.push(toCall(operation.spec, correlationId, this.ownEndpoint));
    }
    return calls;
  }

  /** Ends the call when its journal would not fit into messages for long. */
  private isTooLarge(): boolean {
    const { bytes } = this.journal.position;
    const { entries } = this.journal;
    if (bytes > JOURNAL_WARN_BYTES || entries > JOURNAL_WARN_ENTRIES) {
      this.warnOnce('size', () =>
        [
          `${this.fn.name} (${this.id}) has recorded ${entries} entries, ${bytes} bytes: it fails at ${JOURNAL_MAX_BYTES} bytes.`,
          `Go on in a new call with tailCall(), or move parts into functions of their own.`,
        ].join(' '),
      );
    }
    if (bytes <= JOURNAL_MAX_BYTES) return false;
    const error = new PermanentError(
      `${this.fn.name} has recorded ${bytes} bytes, more than ${JOURNAL_MAX_BYTES}: go on in a new call with tailCall(), ` +
        `return less from the functions that it calls, or move parts into functions of their own.`,
    );
    this.exit({ error });
    return true;
  }

  // — deliveries —

  /** Hands the request's results and due timers over, in one pass. */
  private deliverIncoming(): void {
    const incoming = this.incoming;
    this.incoming = undefined;
    if (incoming !== undefined) this.deliver(incoming);
    this.services.turnEnd.schedule(this);
  }

  private deliver({ results, context }: Resumption): void {
    const now = this.services.clock.now();
    const accepted = this.settlement.accept(results);
    const timers = this.pending.dueTimers(now).map(({ sequence }) => sequence);
    const cancelled = context?.cancelled === true && !this.settlement.cancelled;
    if (accepted.length === 0 && timers.length === 0 && !cancelled) return;
    this.idle = false;
    const delivery = makeDelivery(now, { results: accepted, timers, cancelled });
    this.journal.open(delivery);
    this.hand(delivery);
  }

  private hand(delivery: Delivery): void {
    this.prompt = true;
    this.settlement.hand(delivery);
    this.services.turnEnd.schedule(this);
  }

  // — replay —

  private replayOn(plan: ReplayPlan): void {
    if (this.lenient && !plan.isComplete(this.round)) this.acceptAlike(plan);
    if (!plan.isComplete(this.round)) return this.onMissing(plan);
    const next = plan.rounds[this.round + 1];
    if (next === undefined) return this.endReplay();
    this.round++;
    if (next.delivery === undefined) this.services.turnEnd.schedule(this);
    else this.hand(next.delivery);
  }

  private endReplay(): void {
    this.plan = undefined;
    const fresh = this.unmatched;
    this.unmatched = [];
    for (const operation of fresh) this.admit(operation);
    this.deliverIncoming();
  }

  private acceptAlike(plan: ReplayPlan): void {
    for (const pair of plan.alike(this.round, this.unmatched)) {
      const { operation } = pair;
      this.unmatched = this.unmatched.filter((other) => other !== operation);
      this.adopt(operation, plan.accept(pair));
      if (operation.kind === 'call') this.warnOfInput(operation.spec.function);
    }
  }

  private warnOfInput(name: string): void {
    this.warnOnce('input', () =>
      [
        `${this.fn.name} (${this.id}) calls ${name} with another input than before the replay: the recorded result is`,
        `used. Take clock and random values in a step().`,
      ].join(' '),
    );
  }

  /** Recorded operations were not made again: the function's own I/O may be on its way to them, or the code has changed. */
  private onMissing(plan: ReplayPlan): void {
    // Where it has ended, a branch that nobody awaits may still make what it made after I/O of its own.
    const isBlocked = this.outcome !== undefined || this.unmatched.length > 0 || this.pending.hasAwaited();
    if (!isBlocked || this.grace !== undefined) return;
    const { clock } = this.services;
    this.grace = clock.at(clock.now() + this.graceFor(plan), () => {
      this.grace = undefined;
      if (this.phase !== 'running' || plan.isComplete(this.round)) return;
      if (plan.alike(this.round, this.unmatched).length === 0) return this.diverge(plan);
      this.lenient = true;
      this.services.turnEnd.schedule(this);
    });
  }

  private graceFor(plan: ReplayPlan): number {
    if (plan.alike(this.round, this.unmatched).length > 0) return GRACE_ALIKE;
    return plan.missing(this.round).every(({ prompt }) => prompt) ? GRACE_PROMPT : GRACE_AFTER_IO;
  }

  /** The code does not do what the journal says it did: ends the run without letting user code see it. */
  private diverge(plan: ReplayPlan): void {
    const { id, round, unmatched } = this;
    const ended = this.outcome !== undefined;
    const awaited = this.pending.all().filter((operation) => operation.awaited);
    const message = divergence({
      name: this.fn.name,
      id,
      round,
      missing: plan.missing(round),
      unmatched,
      awaited,
      ended,
    });
    this.reply(refuse(new IncompatibleStateError(message), Status.INCOMPATIBLE_STATE));
    this.abandon();
  }

  private warnOnce(what: Warning, message: () => string): void {
    if (this.warned.has(what)) return;
    this.warned.add(what);
    this.services.log.warn(message());
  }
}
