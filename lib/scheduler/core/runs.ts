import { create, fromBinary } from '@bufbuild/protobuf';
import { AnySchema, type Any } from '@bufbuild/protobuf/wkt';
import { CancelledError, Status } from '../../errors/index.js';
import type { CallResult } from '../../gen/dispatch/sdk/v1/call_pb.js';
import type { RunRequest } from '../../gen/dispatch/sdk/v1/function_pb.js';
import type { PollResult } from '../../gen/dispatch/sdk/v1/poll_pb.js';
import { pollResultMessage, runRequest, type RunAnswer } from '../../protocol/index.js';
import { isExtendedAny } from '../../values/index.js';
import type { Core } from './core.js';
import { refusedInput } from './foreign.js';
import type { FunctionPolicy, Milliseconds } from './options.js';
import type { CallRecord } from './record.js';
import { Run } from './run.js';
import { MESSAGE_LIMIT } from './validation.js';

/** What a request holds beside its state and its results, at most. */
const REQUEST_OVERHEAD = 4_096;
const EMPTY_INPUT = create(AnySchema, { typeUrl: 'type.googleapis.com/google.protobuf.Empty' });

/** Starts runs, sends their requests, and ends them. */
export class Runs {
  /** The fence of the run that was begun last. */
  lastFence = 0;

  constructor(private readonly core: Core) {}

  begin(record: CallRecord, policy: FunctionPolicy | undefined): Run {
    const { core } = this;
    const now = core.clock.now();
    const extended = core.transport.extended(record.fn.endpoint) && record.foreignState !== 'typed';
    const deadline = now + (policy?.runTimeout ?? core.settings.runTimeout);
    const run = new Run(record, core, this.nextFence(), deadline, extended, extended && record.warm);
    record.run = run;
    record.fence = run.fence;
    record.warm = false;
    record.woken = false;
    record.speculative = false;
    core.readiness.arm(record, now);
    return run;
  }

  /** Sends the request of a run that has begun. */
  send(run: Run): void {
    if (!isCurrent(run)) return;
    const request = run.resumes ? this.resumeRequest(run) : this.firstRequest(run);
    if (!(request instanceof Promise)) return this.transmit(run, request);
    request.then(
      (loaded) => this.transmit(run, loaded),
      (error: unknown) => this.core.outage.readFailed(run, error),
    );
  }

  /** The process had not the live instance: the same run again, with the whole state. */
  sendAgain(run: Run): void {
    const { record } = run;
    const again = new Run(record, this.core, this.nextFence(), run.deadline, run.extended, false);
    record.run = again;
    record.fence = again.fence;
    this.core.admission.exchange(run, again);
    this.send(again);
  }

  /** The run is over, whatever it may still answer. */
  end(run: Run): void {
    if (!isCurrent(run)) return;
    run.record.run = undefined;
    this.core.admission.release(run);
  }

  /** Ends a run whose code is still going. */
  abort(run: Run, reason: Error): void {
    this.end(run);
    run.abort(reason);
  }

  /** Waits until no run is in flight, but not longer than that; then aborts those that are left. */
  async finish(grace: Milliseconds): Promise<void> {
    const { admission, clock } = this.core;
    if (grace > 0) {
      await new Promise<void>((resolve) => {
        const alarm = clock.at(clock.now() + grace, resolve);
        void admission.quiet().then(() => {
          alarm.cancel();
          resolve();
        });
      });
    }
    const left = [...admission.runs()];
    for (const run of left) this.abort(run, new CancelledError('the scheduler was stopped; the call goes on later'));
  }

  /** Fences grow across restarts as well. The store keeps none, so they begin with the time: below a million runs a second that holds. */
  private nextFence(): number {
    if (this.lastFence === 0) this.lastFence = this.core.clock.now() * 1_000;
    this.lastFence += 1;
    return this.lastFence;
  }

  private transmit(run: Run, request: RunRequest | undefined): void {
    if (request === undefined || !isCurrent(run)) return;
    const { record } = run;
    let answer: Promise<RunAnswer>;
    try {
      answer = this.core.transport.run(record.fn.endpoint, request, run);
    } catch (error) {
      return this.core.outcomes.transportFailed(run, error);
    }
    answer.then(
      (given) => this.core.outcomes.settle(run, given),
      (error: unknown) => this.core.outcomes.transportFailed(run, error),
    );
  }

  private firstRequest(run: Run): RunRequest | undefined | Promise<RunRequest | undefined> {
    const input = this.core.payloads.takeInput(run.record);
    if (input !== undefined) return this.withInput(run, input ?? undefined);
    return this.core.store.input(run.record.id).then((loaded) => this.withInput(run, loaded));
  }

  private withInput(run: Run, input: Any | undefined): RunRequest | undefined {
    if (!isCurrent(run)) return undefined;
    if (run.record.isCancelling) {
      // It was cancelled while its input was read: a call that has not begun never will.
      this.core.completion.cancel(run.record);
      return undefined;
    }
    if (input && !run.extended && !this.core.transport.adapts && isExtendedAny(input)) {
      const { name, endpoint } = run.record.fn;
      this.core.completion.fail(run.record, Status.INVALID_RESPONSE, refusedInput(name, endpoint, input));
      return undefined;
    }
    const request = this.request(run);
    request.directive = { case: 'input', value: input ?? EMPTY_INPUT };
    return request;
  }

  private resumeRequest(run: Run): RunRequest | undefined | Promise<RunRequest | undefined> {
    if (!run.stateOmitted) return this.loadState(run);
    const results = this.core.delivery.take(run, MESSAGE_LIMIT - REQUEST_OVERHEAD - run.position.bytes);
    if (!(results instanceof Promise)) return this.withResults(run, results, undefined);
    return results.then((taken) => this.withResults(run, taken, undefined));
  }

  private async loadState(run: Run): Promise<RunRequest | undefined> {
    const { core, record } = { core: this.core, record: run.record };
    const [state, input] = await Promise.all([
      core.store.journal(record.id),
      run.extended ? core.store.input(record.id) : undefined,
    ]);
    if (!isCurrent(run)) return undefined;
    if (run.extended) run.input = input ?? EMPTY_INPUT;
    const results = await core.delivery.take(run, MESSAGE_LIMIT - REQUEST_OVERHEAD - state.length);
    return this.withResults(run, results, state);
  }

  private withResults(run: Run, results: CallResult[], state: Uint8Array | undefined): RunRequest | undefined {
    if (!isCurrent(run)) return undefined;
    const pollResult = pollResultMessage(stateOf(run, state), results);
    const request = this.request(run);
    request.directive = { case: 'pollResult', value: pollResult };
    return request;
  }

  private request({ record }: Run): RunRequest {
    const { id, parentId, rootId, createdAt, expiresAt } = record.header;
    return runRequest(record.fn.name, id, parentId, rootId, createdAt, expiresAt);
  }
}

function stateOf({ record }: Run, state: Uint8Array | undefined): PollResult['state'] {
  if (state === undefined) return { case: undefined };
  return record.foreignState === 'typed'
    ? { case: 'typedCoroutineState', value: fromBinary(AnySchema, state) }
    : { case: 'coroutineState', value: state };
}

export function isCurrent(run: Run): boolean {
  return run.record.run === run && run.record.finished === undefined;
}
