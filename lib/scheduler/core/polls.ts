import { toBinary } from '@bufbuild/protobuf';
import { AnySchema, durationMs } from '@bufbuild/protobuf/wkt';
import { crc32 } from 'node:zlib';
import { InvalidResponseError, Status } from '../../errors/index.js';
import type { Call } from '../../gen/dispatch/sdk/v1/call_pb.js';
import type { Poll } from '../../gen/dispatch/sdk/v1/poll_pb.js';
import { StaleRunError, type Checkpoint, type RunAnswer } from '../../protocol/index.js';
import { Children, type NewChildren } from './children.js';
import type { Core } from './core.js';
import { countTakenIn } from './delivery.js';
import type { Milliseconds } from './options.js';
import { failure } from './results.js';
import { isCurrent } from './runs.js';
import type { Run } from './run.js';
import { MAX_RESULTS } from './validation.js';

/** The shortest `max_wait` of the protocol, and of endpoints that speak the extension. */
const MIN_WAIT: Milliseconds = 1_000;
const MIN_WAIT_EXTENDED: Milliseconds = 1;

/** Takes in what a run has done without ending its call: its polls and checkpoints (PROTOCOL, a run, rules 2 to 5). */
export class Polls {
  private readonly children: Children;

  constructor(private readonly core: Core) {
    this.children = new Children(core);
  }

  suspend(run: Run, answer: RunAnswer, poll: Poll): void {
    const { record } = run;
    // Its endpoint has no way to tell the function, so it ends here.
    if (record.isCancelling && !run.extended) return this.core.completion.cancel(record);
    const calls = this.callsOf(run, poll.calls);
    const problem = this.children.problemOf(calls);
    if (problem !== undefined) return this.refuse(run, problem);
    const children = this.children.identify(record, calls);
    if (!(children instanceof Promise)) return this.apply(run, answer, poll, children);
    run.answered = true;
    children.then(
      (identified) => {
        if (isCurrent(run)) this.apply(run, answer, poll, identified);
      },
      (error: unknown) => this.core.outage.readFailed(run, error),
    );
  }

  /** Commits new rounds of a run that goes on. */
  async checkpoint(run: Run, { journal, position, calls }: Checkpoint): Promise<void> {
    const { core } = this;
    const { record } = run;
    requireCurrent(run);
    const made = this.callsOf(run, calls);
    const problem = this.children.problemOf(made);
    if (problem !== undefined) throw new InvalidResponseError(problem);
    const identified = this.children.identify(record, made);
    const children = identified instanceof Promise ? await identified : identified;
    requireCurrent(run);
    if (position.bytes !== record.position.bytes + journal.length) {
      throw new StaleRunError(`a checkpoint of ${record.id} does not continue its journal`);
    }
    core.commits.touch(record);
    if (journal.length > 0) core.commits.append(record, journal, position);
    core.commits.progress(record, {
      ...record.progress,
      // Its results are taken in, so that nothing else would let it go on if this process died.
      state: 'pending',
      dueAt: core.clock.now(),
      attempt: 0,
      delivered: run.lastPlace,
    });
    this.children.create(run, children);
    await core.commits.durable();
  }

  private apply(run: Run, answer: RunAnswer, poll: Poll, children: NewChildren): void {
    const { core } = this;
    const { record } = run;
    const appended = run.extended ? answer.appended : undefined;
    const state = stateOf(poll);
    if (appended && appended.bytes !== record.position.bytes + state.bytes.length) {
      const error = failure('TemporaryError', `a poll of ${record.fn.name} does not continue its journal`);
      return core.outcomes.retry(run, Status.TEMPORARY_ERROR, error, undefined);
    }
    const maxWait = this.maxWaitOf(run, poll);
    if (maxWait === undefined && !this.canResume(run, children)) {
      return this.refuse(run, 'the poll makes no calls, sets no max_wait, and no results are outstanding');
    }
    core.runs.end(run);
    core.commits.touch(record);
    record.warm = run.extended && !run.isReleased;
    record.suspendedBy = run.fence;
    record.woken = run.woken;
    if (run.cancelled) record.told = true;
    if (appended) {
      if (state.bytes.length > 0) core.commits.append(record, state.bytes, appended);
    } else {
      const position = { bytes: state.bytes.length, digest: crc32(state.bytes) };
      core.commits.state(record, state.bytes, state.typed, position);
    }
    core.commits.progress(record, {
      ...record.progress,
      state: 'suspended',
      attempt: 0,
      crashes: 0,
      delivered: run.lastPlace,
      minResults: clamp(poll.minResults, 1),
      maxResults: clamp(poll.maxResults, MAX_RESULTS),
      wakeAt: maxWait === undefined ? undefined : core.clock.now() + maxWait,
    });
    this.children.create(run, children);
  }

  /** A call that has yet to hear of its cancellation makes no calls: they would be cancelled before they start. */
  private callsOf({ record, cancelled }: Run, calls: readonly Call[]): readonly Call[] {
    return record.isCancelling && !record.told && !cancelled ? [] : calls;
  }

  /** Rule 4: something has to be there that lets the function go on. */
  private canResume(run: Run, children: NewChildren): boolean {
    const { record } = run;
    const undelivered = record.undelivered - countTakenIn(record, run.lastPlace);
    const unheard = record.isCancelling && !record.told && !run.cancelled;
    return record.outstanding + children.size + undelivered > 0 || run.woken || unheard;
  }

  private refuse(run: Run, problem: string): void {
    const error = failure('InvalidResponseError', `the poll of ${run.fn.name} cannot be carried out: ${problem}`);
    this.core.completion.fail(run.record, Status.INVALID_RESPONSE, error);
  }

  private maxWaitOf(run: Run, poll: Poll): Milliseconds | undefined {
    if (poll.maxWait === undefined) return undefined;
    return Math.max(durationMs(poll.maxWait), run.extended ? MIN_WAIT_EXTENDED : MIN_WAIT);
  }
}

function stateOf({ state }: Poll): { readonly bytes: Uint8Array; readonly typed: boolean } {
  switch (state.case) {
    case 'coroutineState':
      return { bytes: state.value, typed: false };
    case 'typedCoroutineState':
      return { bytes: toBinary(AnySchema, state.value), typed: true };
    case undefined:
      return { bytes: new Uint8Array(), typed: false };
  }
}

/** Rule 5: limits are clamped to their range, never refused. Absent is 0 on the wire. */
function clamp(count: number, absent: number): number {
  return count <= 0 ? absent : Math.min(count, MAX_RESULTS);
}

function requireCurrent(run: Run): void {
  if (isCurrent(run) && !run.answered) return;
  throw new StaleRunError(`the run ${run.fence} of ${run.record.id} is over`);
}
