import { Status, TimeoutError } from '../../errors/index.js';
import type { Call, CallResult } from '../../gen/dispatch/sdk/v1/call_pb.js';
import type { Error as WireError } from '../../gen/dispatch/sdk/v1/error_pb.js';
import type { Exit } from '../../gen/dispatch/sdk/v1/exit_pb.js';
import { backoff, isRetried, type RunAnswer } from '../../protocol/index.js';
import type { Timestamp } from '../store.js';
import type { Core } from './core.js';
import type { Milliseconds } from './options.js';
import { freshProgress } from './progress.js';
import { failure, unexplained } from './results.js';
import { RetryNotes } from './retry-notes.js';
import { isCurrent } from './runs.js';
import type { Run } from './run.js';
import { invalidChild } from './validation.js';

/** Decides what becomes of a call when a run of it is over. */
export class Outcomes {
  private readonly notes: RetryNotes;

  constructor(private readonly core: Core) {
    this.notes = new RetryNotes(core);
  }

  settle(run: Run, answer: RunAnswer): void {
    if (!isCurrent(run) || run.answered) return;
    this.core.pacing.heard(run, answer);
    if (answer.stateMissing && run.stateOmitted) return this.core.runs.sendAgain(run);
    const { status, directive } = answer.response;
    if (status !== Status.OK) return this.failed(run, answer);
    switch (directive.case) {
      case 'exit':
        return this.exited(run, directive.value);
      case 'poll':
        return this.core.polls.suspend(run, answer, directive.value);
      case undefined:
        return this.core.completion.fail(
          run.record,
          Status.INVALID_RESPONSE,
          failure('InvalidResponseError', 'the function answered neither with an exit nor with a poll'),
        );
    }
  }

  /** The transport broke its promise never to reject. */
  transportFailed(run: Run, error: unknown): void {
    if (!isCurrent(run) || run.answered) return;
    const message = `the transport to ${run.fn.endpoint} failed: ${error instanceof Error ? error.message : String(error)}`;
    this.core.log.error(`${message}. The run of ${run.record.id} is made again. This is a bug of the transport.`);
    this.retry(run, Status.TEMPORARY_ERROR, failure('TemporaryError', message), undefined);
  }

  timedOut(run: Run): void {
    const { record } = run;
    const limit = run.fn.policy(record.version)?.runTimeout ?? this.core.settings.runTimeout;
    const message = `a run of ${run.fn.name} took longer than its runTimeout of ${limit} ms`;
    this.core.pacing.timedOut(run);
    run.abort(new TimeoutError(message));
    this.retry(run, Status.TIMEOUT, failure('TimeoutError', message), undefined);
  }

  /** The run is made again after a backoff, or the call fails with what it failed with. */
  retry(
    run: Run,
    status: Status,
    error: WireError,
    result: CallResult | undefined,
    atLeast: Milliseconds | undefined = 0,
  ): void {
    const { core } = this;
    const { record } = run;
    if (record.isCancelling) return this.retryCancelled(run);
    if (!this.isRetried(run, status)) return core.completion.fail(record, status, error, result?.output);
    const attempt = record.progress.attempt + 1;
    const dueAt = this.nextTry(run, attempt, atLeast);
    if (dueAt === undefined) return core.completion.fail(record, status, error, result?.output);
    this.notes.note(run, status, error, attempt, dueAt);
    core.runs.end(run);
    core.commits.progress(record, { ...record.progress, state: 'pending', dueAt, attempt, crashes: 0 });
  }

  private failed(run: Run, { response, retryAfter, final }: RunAnswer): void {
    const { directive } = response;
    const result = directive.case === 'exit' ? directive.value.result : undefined;
    const status = response.status === Status.UNSPECIFIED ? Status.INVALID_RESPONSE : response.status;
    const error = result?.error ?? unexplained(status);
    const tailCall = directive.case === 'exit' ? directive.value.tailCall : undefined;
    const isRetried = final !== true && this.isRetried(run, status);
    if (tailCall && isRetried) this.tailCallLater(run, tailCall, status, error);
    else if (status === Status.INCOMPATIBLE_STATE) this.incompatible(run, error);
    else if (isRetried) this.retry(run, status, error, result, retryAfter);
    else this.core.completion.fail(run.record, status, error, result?.output);
  }

  private exited(run: Run, exit: Exit): void {
    const { completion } = this.core;
    const { record } = run;
    if (record.isCancelling) return completion.cancel(record);
    if (exit.tailCall) return this.tailCall(run, exit.tailCall);
    const { output, error } = exit.result ?? {};
    // A result with an error is a failure, unless it has an output as well: then it is a partial result.
    if (error && !output) return completion.fail(record, Status.PERMANENT_ERROR, error);
    completion.complete(record, 'succeeded', Status.OK, output, error);
  }

  /** The Python SDK's `Reset`: the function asks to be tried again as another call, after a backoff. */
  private tailCallLater(run: Run, call: Call, status: Status, error: WireError): void {
    const { core } = this;
    const { record } = run;
    if (record.isCancelling) return core.completion.cancel(record);
    const attempt = record.progress.attempt + 1;
    const again = this.nextTry(run, attempt);
    if (again === undefined) return core.completion.fail(record, status, error);
    this.tailCall(run, call, { attempt, dueAt: again });
  }

  /** The call is replaced, under its id, with its creation time and expiration. */
  private tailCall(run: Run, call: Call, { attempt, dueAt } = { attempt: 0, dueAt: this.core.clock.now() }): void {
    const { core } = this;
    const { record } = run;
    const problem = invalidChild(core, call);
    if (problem !== undefined) {
      const error = failure('InvalidResponseError', `the tail call cannot be made: ${problem}`);
      return core.completion.fail(record, Status.INVALID_RESPONSE, error);
    }
    core.runs.end(run);
    core.commits.touch(record);
    core.functions.assign(record, core.functions.entry(call.endpoint || record.fn.endpoint, call.function));
    record.version = call.version;
    record.beginAgain();
    core.payloads.takeInput(record);
    core.payloads.holdInput(record, call.input);
    core.commits.replace(record, { ...freshProgress(dueAt, record.progress.incarnation + 1), attempt }, call.input);
    core.cancellation.cancelChildren(record);
  }

  /** The recorded state fits no code that is here. Beginning again must not do twice what is known to be done. */
  private incompatible(run: Run, error: WireError): void {
    const { record } = run;
    if (record.isCancelling) return this.core.completion.cancel(record);
    const ownJournal = record.position.bytes > 0 && record.foreignState === undefined;
    const nothingRecorded = !ownJournal && record.progress.delivered === 0 && record.inboxEnd === 0;
    if (nothingRecorded || run.fn.policy(record.version)?.onIncompatible === 'restart') this.restart(run, error);
    else this.core.parking.park(run, error);
  }

  private restart(run: Run, error: WireError): void {
    const { core } = this;
    const { record } = run;
    const attempt = record.progress.attempt + 1;
    const dueAt = this.nextTry(run, attempt);
    if (dueAt === undefined) return core.completion.fail(record, Status.INCOMPATIBLE_STATE, error);
    core.runs.end(run);
    core.commits.touch(record);
    record.beginAgain();
    core.commits.restart(record, { ...freshProgress(dueAt, record.progress.incarnation + 1), attempt });
    core.cancellation.cancelChildren(record);
  }

  private isRetried({ fn, record }: Run, status: Status): boolean {
    return isRetried(status, fn.policy(record.version)?.retry ?? {}, this.core.settings.retry);
  }

  /** When the call may be tried again after that many attempts; undefined: its attempts or its time are used up. */
  private nextTry({ fn, record }: Run, attempt: number, atLeast: Milliseconds = 0): Timestamp | undefined {
    const { clock, random, settings } = this.core;
    const policy = fn.policy(record.version)?.retry ?? {};
    const maxAttempts = policy.maxAttempts ?? settings.retry.maxAttempts ?? Infinity;
    const pause = Math.round(backoff(attempt, random, policy, settings.retry));
    const dueAt = clock.now() + Math.max(atLeast, pause);
    return attempt >= maxAttempts || (record.header.expiresAt ?? Infinity) <= dueAt ? undefined : dueAt;
  }

  /** A run of a call that is being cancelled failed: its cleanup is tried again, if there is any to do. */
  private retryCancelled(run: Run): void {
    const { core } = this;
    const { record } = run;
    if (!run.extended || !record.hasState) return core.completion.cancel(record);
    const heard = record.told || run.cancelled;
    const attempt = record.progress.attempt + 1;
    const policy = run.fn.policy(record.version)?.retry ?? {};
    const delay = heard ? Math.round(backoff(attempt, core.random, policy, core.settings.retry)) : 0;
    core.runs.end(run);
    const dueAt = core.clock.now() + delay;
    core.commits.progress(record, { ...record.progress, state: 'pending', dueAt, attempt, crashes: 0 });
  }
}
