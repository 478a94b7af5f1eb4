import { create } from '@bufbuild/protobuf';
import { durationMs, timestampFromMs, type Any } from '@bufbuild/protobuf/wkt';
import { crc32 } from 'node:zlib';
import { bareState, journalIn, typedState } from '../../lib/coroutine/state.js';
import { isRetryable, Status } from '../../lib/errors/index.js';
import { CallResultSchema, type Call, type CallResult } from '../../lib/gen/dispatch/sdk/v1/call_pb.js';
import { RunRequestSchema, type RunRequest } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';
import { PollResultSchema, type Poll, type PollResult } from '../../lib/gen/dispatch/sdk/v1/poll_pb.js';
import {
  EMPTY_JOURNAL,
  StaleRunError,
  type Alarm,
  type Clock,
  type FunctionRunner,
  type JournalPosition,
  type RunAnswer,
  type RunContext,
} from '../../lib/protocol/index.js';
import { packArguments, unpack, unpackError } from '../../lib/values/index.js';

/** Time that passes only when nothing else can happen. */
export class IdleClock implements Clock {
  private time = 1_700_000_000_000;
  private readonly alarms = new Set<{ time: number; callback: () => void }>();

  now(): number {
    return this.time;
  }
  at(time: number, callback: () => void): Alarm {
    const alarm = { time, callback };
    this.alarms.add(alarm);
    return { cancel: () => this.alarms.delete(alarm) };
  }
  defer(callback: () => void): void {
    setImmediate(callback);
  }
  /** Moves on to the next alarm; false when there is none. */
  skip(): boolean {
    const [next] = [...this.alarms].sort((a, b) => a.time - b.time);
    if (next === undefined) return false;
    this.alarms.delete(next);
    this.time = Math.max(this.time, next.time);
    next.callback();
    return true;
  }
}

/** How often each thing goes wrong: probabilities from 0 to 1. */
export interface Faults {
  /** A run's answer is lost: the same request is sent again. */
  lose?: number;
  /** The same request is sent a second time while the first is being run. */
  repeat?: number;
  /** A resume goes to another process, which has no live instance. */
  move?: number;
  /** The results of a resume come in another order than that of completion. */
  reorder?: number;
  /** A result is sent again in a later resume. */
  twice?: number;
  /** A suspended function is resumed with nothing. */
  early?: number;
  /** A child's run is delayed, by up to this many turns of the event loop. */
  late?: number;
}

export interface Finished {
  readonly status: Status;
  readonly result: CallResult;
}

interface ScriptedCall {
  readonly id: string;
  readonly parentId: string;
  readonly rootId: string;
  fn: string;
  input: Any | undefined;
  incarnation: number;
  fence: number;
  attempt: number;
  journal: Uint8Array;
  position: JournalPosition;
  begun: boolean;
  children: Map<bigint, Promise<void>>;
  outstanding: number;
  inbox: CallResult[];
  sent: CallResult[];
  /** How many of the inbox the last request carried. */
  sending: number;
  woken: boolean;
  notify: (() => void) | undefined;
}

/**
 * The least of a scheduler, which may lose, repeat and reorder what passes between it and the runtimes. It checks what a
 * real one relies on: answers continue the journal they were given, a correlation id means one call.
 */
export class ScriptedScheduler {
  readonly clock: IdleClock;
  /** Polls in all, over all calls. */
  polls = 0;
  checkpoints = 0;
  /** Live instances that were given up. */
  released = 0;
  runs = 0;
  readonly finished = new Map<string, Finished>();
  readonly statuses: Status[] = [];
  private busy = 0;
  private stopped = false;
  private onStuck: (error: Error) => void = () => {};

  constructor(
    private readonly processes: readonly FunctionRunner[],
    private readonly options: {
      extended: boolean;
      clock: IdleClock;
      faults?: Faults;
      random?: () => number;
      cancelAfterPolls?: number;
    },
  ) {
    this.clock = options.clock;
  }

  /** Runs one call to its end and returns its result as a value, or throws its error. */
  async execute(fn: string, ...args: unknown[]): Promise<unknown> {
    const { result } = await this.finish(fn, ...args);
    if (result.error !== undefined) throw unpackError(result.error, { function: fn });
    return unpack(result.output);
  }

  async finish(fn: string, ...args: unknown[]): Promise<Finished> {
    const id = `root-${this.finished.size + 1}`;
    const stuck = new Promise<never>((_resolve, reject) => (this.onStuck = reject));
    const driver = this.drive();
    try {
      return await Promise.race([this.perform(this.newCall(id, '', id, fn, packArguments(args))), stuck]);
    } finally {
      this.stopped = true;
      await driver;
      this.stopped = false;
    }
  }

  stop(): void {
    this.stopped = true;
  }

  /** Lets time pass when all that is left is to wait for it. */
  private async drive(): Promise<void> {
    let quiet = 0;
    let seen = -1;
    while (!this.stopped) {
      await new Promise((resolve) => setImmediate(resolve));
      quiet = seen === this.busy ? quiet + 1 : 0;
      seen = this.busy;
      if (quiet > (this.busy > 0 ? 400 : 30)) {
        quiet = 0;
        if (!this.clock.skip() && this.busy === 0) return this.onStuck(new Error('nothing can happen any more'));
      }
    }
  }

  private newCall(id: string, parentId: string, rootId: string, fn: string, input: Any | undefined): ScriptedCall {
    return {
      id,
      parentId,
      rootId,
      fn,
      input,
      incarnation: 1,
      fence: 0,
      attempt: 0,
      journal: new Uint8Array(),
      position: EMPTY_JOURNAL,
      begun: false,
      children: new Map(),
      outstanding: 0,
      inbox: [],
      sent: [],
      sending: 0,
      woken: false,
      notify: undefined,
    };
  }

  private async perform(call: ScriptedCall): Promise<Finished> {
    await this.turns(Math.floor(this.random() * (this.faults.late ?? 0)));
    for (;;) {
      const { response, appended } = await this.attempt(call);
      this.statuses.push(response.status);
      const { directive } = response;
      if (directive.case === 'poll') {
        this.commit(call, directive.value, appended);
        await this.untilResumable(call, directive.value);
        continue;
      }
      if (response.status === Status.INCOMPATIBLE_STATE || !isRetryable(response.status)) {
        const tail = directive.value?.tailCall;
        if (tail !== undefined) {
          Object.assign(call, this.newCall(call.id, call.parentId, call.rootId, tail.function, tail.input), {
            incarnation: call.incarnation + 1,
          });
          continue;
        }
        return this.end(call, response.status, directive.value?.result);
      }
      if (call.attempt >= 10) return this.end(call, response.status, directive.value?.result);
    }
  }

  private end(call: ScriptedCall, status: Status, result: CallResult | undefined): Finished {
    const finished = { status, result: result ?? create(CallResultSchema) };
    this.finished.set(call.id, finished);
    return finished;
  }

  /** Sends the call's request until an answer comes that counts. */
  private async attempt(call: ScriptedCall): Promise<RunAnswer> {
    call.attempt++;
    for (;;) {
      const request = this.request(call, false);
      const answer = await this.send(call, request);
      if (answer.stateMissing === true) {
        const whole = await this.send(call, this.request(call, true), true);
        if (whole.stateMissing === true) throw new Error('the state was sent and is still said to be missing');
        if (this.random() < (this.faults.lose ?? 0)) continue;
        return whole;
      }
      if (this.random() < (this.faults.lose ?? 0)) continue;
      return answer;
    }
  }

  private request(call: ScriptedCall, whole: boolean): RunRequest {
    const common = {
      function: call.fn,
      dispatchId: call.id,
      parentDispatchId: call.parentId,
      rootDispatchId: call.rootId,
      creationTime: timestampFromMs(this.clock.now()),
    };
    if (!call.begun && call.position.bytes === 0) {
      return create(RunRequestSchema, { ...common, directive: { case: 'input', value: call.input! } });
    }
    const omitted = this.options.extended && !whole;
    const again = call.sent.filter(() => this.random() < (this.faults.twice ?? 0));
    const results = [...call.inbox, ...again];
    call.sending = call.inbox.length;
    if (this.random() < (this.faults.reorder ?? 0)) results.sort(() => this.random() - 0.5);
    return create(RunRequestSchema, {
      ...common,
      directive: {
        case: 'pollResult',
        value: create(PollResultSchema, {
          state: omitted ? { case: undefined } : this.stateOf(call),
          results,
        }),
      },
    });
  }

  private stateOf({ journal }: ScriptedCall): PollResult['state'] {
    return this.options.extended ? bareState(journal) : typedState(journal);
  }

  private async send(call: ScriptedCall, request: RunRequest, whole = false): Promise<RunAnswer> {
    this.busy++;
    this.runs++;
    try {
      const process = this.random() < (this.faults.move ?? 0) ? this.pick() : (this.processes[0] ?? this.pick());
      const first = process.run(request, this.optionsFor(call, whole));
      if (this.random() >= (this.faults.repeat ?? 0)) return await first;
      await this.turns(Math.floor(this.random() * 3));
      const second = process.run(request, this.optionsFor(call, whole));
      void first;
      return await second;
    } finally {
      this.busy--;
    }
  }

  private optionsFor(call: ScriptedCall, whole: boolean): { context?: RunContext } {
    if (!this.options.extended) return {};
    const fence = ++call.fence;
    const { incarnation, attempt, position, input } = call;
    const resumed = call.begun || position.bytes > 0;
    return {
      context: {
        incarnation,
        attempt,
        fence,
        position,
        stateOmitted: resumed && !whole,
        input,
        checkpoint: async ({ journal, position: end, calls }) => {
          await this.turns(1 + Math.floor(this.random() * 3));
          if (call.fence !== fence) throw new StaleRunError('stale');
          this.checkpoints++;
          this.append(call, journal, end);
          call.sent.push(...call.inbox.splice(0, call.sending));
          call.sending = 0;
          this.start(call, calls);
        },
        wake: () => {
          call.woken = true;
          call.notify?.();
        },
        released: () => void this.released++,
      },
    };
  }

  private commit(call: ScriptedCall, poll: Poll, appended: JournalPosition | undefined): void {
    this.polls++;
    call.attempt = 0;
    call.begun = true;
    call.sent.push(...call.inbox.splice(0, call.sending));
    call.sending = 0;
    const { state } = poll;
    const journal = journalIn({ state });
    if (state.case === undefined || journal === undefined) throw new Error('a poll without a state');
    if (appended !== undefined) this.append(call, journal, appended);
    else call.journal = journal;
    this.start(call, poll.calls);
  }

  private append(call: ScriptedCall, journal: Uint8Array, end: JournalPosition): void {
    const digest = journal.length === 0 ? call.position.digest : crc32(journal, call.position.digest);
    if (call.position.bytes + journal.length !== end.bytes || digest !== end.digest) {
      throw new Error(`the journal of ${call.id} does not go on where it ended`);
    }
    call.journal = Buffer.concat([call.journal, journal]);
    call.position = end;
  }

  private start(parent: ScriptedCall, calls: readonly Call[]): void {
    for (const made of calls) {
      if (parent.children.has(made.correlationId)) continue;
      parent.outstanding++;
      const id = `${parent.id}/${parent.incarnation}.${made.correlationId & 0xffffffffn}`;
      const child = this.newCall(id, parent.id, parent.rootId, made.function, made.input);
      const { incarnation } = parent;
      const performed = this.perform(child).then(({ result }) => {
        if (parent.incarnation !== incarnation) return;
        parent.outstanding--;
        parent.inbox.push(create(CallResultSchema, { ...result, correlationId: made.correlationId, dispatchId: id }));
        parent.notify?.();
      });
      parent.children.set(made.correlationId, performed);
    }
  }

  private async untilResumable(call: ScriptedCall, { minResults, maxWait }: Poll): Promise<void> {
    call.woken = false;
    if (this.random() < (this.faults.early ?? 0)) return;
    let due = false;
    const alarm =
      maxWait === undefined
        ? undefined
        : this.clock.at(this.clock.now() + durationMs(maxWait), () => {
            due = true;
            call.notify?.();
          });
    for (;;) {
      const wanted = Math.min(Math.max(minResults, 1), call.inbox.length + call.outstanding);
      if (due || call.woken || (wanted > 0 && call.inbox.length >= wanted)) break;
      await new Promise<void>((resolve) => (call.notify = resolve));
    }
    alarm?.cancel();
  }

  private async turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  private pick(): FunctionRunner {
    const process = this.processes[Math.floor(this.random() * this.processes.length)];
    if (process === undefined) throw new Error('no process');
    return process;
  }

  private get faults(): Faults {
    return this.options.faults ?? {};
  }
  private random(): number {
    return (this.options.random ?? (() => 0.999999))();
  }
}
