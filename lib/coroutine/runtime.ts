import { randomUUID } from 'node:crypto';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { PollResult } from '../gen/dispatch/sdk/v1/poll_pb.js';
import type { RunRequest } from '../gen/dispatch/sdk/v1/function_pb.js';
import { IncompatibleStateError, NotFoundError, InvalidArgumentError, Status } from '../errors/index.js';
import type { Clock, FunctionRunner, RunAnswer } from '../protocol/index.js';
import { refuse } from './answers.js';
import { watchAbandonedBranches } from './abandoned-branches.js';
import { outsideOfRuns } from './context.js';
import { Execution } from './execution.js';
import type { Resumption, RuntimeLog, Services } from './services.js';
import { positionOf, readJournal, type JournalContents } from './journal.js';
import { LiveInstances } from './live-instances.js';
import { journalIn } from './state.js';
import { TurnEnd } from './turn-end.js';
import type { FunctionLookup } from './types.js';

export interface CoroutineRuntimeOptions {
  readonly functions: FunctionLookup;
  readonly clock: Clock;
  readonly log: RuntimeLog;
  /** For the jitter of a step's retries: 0 ≤ x < 1. Default: Math.random. */
  readonly random?: () => number;
  /** This application's address, for calls of its own functions through a scheduler that does not run in it. */
  readonly endpointUrl?: string;
  /** `'always'` gives each instance up when it is suspended, so that every resume replays: for development. Default `'live'`. */
  readonly replay?: 'live' | 'always';
  /** How many suspended instances are kept to go on without a replay. Default 10,000. */
  readonly maxLive?: number;
  /** How many bytes they may take, by an estimate. Default 256 MiB. */
  readonly maxLiveBytes?: number;
  /**
   * How many calls of a function are recorded in one commit, where it makes more at once: what others dispatch waits for a
   * commit of that size. Default 500.
   */
  readonly callsPerCommit?: number;
  /** The status of errors that nothing is known about. Default PERMANENT_ERROR. */
  readonly defaultErrorStatus?: Status;
}

const FIRST_INCARNATION = 1;

/** Runs the application's functions as coroutines: until they end, or until all they can do is wait. */
export class CoroutineRuntime implements FunctionRunner {
  private readonly services: Services;
  private readonly instances: LiveInstances;
  private readonly unwatch: () => void;

  constructor(private readonly options: CoroutineRuntimeOptions) {
    const { clock, log, random = Math.random, endpointUrl = '', defaultErrorStatus = Status.PERMANENT_ERROR } = options;
    const keepsInstances = options.replay !== 'always';
    const turnEnd = new TurnEnd(clock);
    const { callsPerCommit = 500 } = options;
    this.services = { clock, random, log, endpointUrl, defaultErrorStatus, turnEnd, keepsInstances, callsPerCommit };
    this.instances = new LiveInstances(options.maxLive ?? 10_000, options.maxLiveBytes ?? 256 * 1024 * 1024);
    this.unwatch = watchAbandonedBranches(log);
  }

  run(request: RunRequest, options: Parameters<FunctionRunner['run']>[1] = {}): Promise<RunAnswer> {
    const { directive } = request;
    const { context } = options;
    const attempt = context?.attempt ?? options.attempt ?? 1;
    const signal = (): AbortSignal | undefined => options.signal;
    switch (directive.case) {
      case 'input':
        return this.first(request, directive.value, { results: [], context, attempt, signal });
      case 'pollResult':
        return this.goOn(request, directive.value, { results: directive.value.results, context, attempt, signal });
      case undefined:
        return Promise.resolve(
          refuse(
            new InvalidArgumentError('The run request has neither an input nor a poll result.'),
            Status.INVALID_ARGUMENT,
          ),
        );
    }
  }

  /** How many instances are kept in memory, running and suspended. */
  get liveInstances(): number {
    return this.instances.size;
  }

  /**
   * Gives up instances that have been suspended for that long: a function that sleeps for days is not kept in memory, and
   * goes on by replay.
   *
   * @param idle milliseconds
   */
  releaseIdle(idle: number): void {
    this.instances.releaseIdle(this.options.clock.now() - idle);
  }

  /** Gives all instances up. Their calls go on elsewhere, or after the next start. */
  close(): void {
    this.instances.clear();
    this.unwatch();
  }

  private first(request: RunRequest, input: Any, resumption: Resumption): Promise<RunAnswer> {
    const incarnation = resumption.context?.incarnation ?? FIRST_INCARNATION;
    return this.launch(request, incarnation, input, (execution) => execution.begin(resumption));
  }

  private goOn(request: RunRequest, pollResult: PollResult, resumption: Resumption): Promise<RunAnswer> {
    const { context } = resumption;
    const state = journalIn(pollResult);
    if (state === undefined)
      return Promise.resolve(incompatible(request, 'it was written in a form that this runtime does not write'));
    const live = this.instances.get(request.dispatchId);
    const position = context?.position ?? positionOf(state);
    if (live?.canResume(context?.incarnation, position) === true) return this.watch(live, live.resume(resumption));
    if (context?.stateOmitted === true) {
      if (live !== undefined) this.giveUp(live);
      return Promise.resolve({ response: incompatible(request, 'it was left out').response, stateMissing: true });
    }
    return this.replay(request, state, resumption);
  }

  private replay(request: RunRequest, state: Uint8Array, resumption: Resumption): Promise<RunAnswer> {
    const { context } = resumption;
    let journal: JournalContents;
    try {
      journal = readJournal(state);
    } catch {
      return Promise.resolve(incompatible(request, 'it cannot be read'));
    }
    const input = context?.input ?? journal.input;
    const incarnation = context?.incarnation ?? journal.incarnation;
    if (input === undefined || incarnation === undefined) {
      return Promise.resolve(incompatible(request, 'it does not say what the function began with'));
    }
    const version = this.options.functions.get(request.function)?.version;
    if (version !== undefined && version !== journal.version && journal.rounds.length > 0) {
      return Promise.resolve(incompatible(request, otherVersion(journal.version, version)));
    }
    const position = positionOf(state);
    return this.launch(request, incarnation, input, (execution) =>
      execution.replay(journal.rounds, position, state, resumption),
    );
  }

  private launch(
    request: RunRequest,
    incarnation: number,
    input: Any,
    begin: (execution: Execution) => Promise<RunAnswer>,
  ): Promise<RunAnswer> {
    const fn = this.options.functions.get(request.function);
    if (fn === undefined) {
      return Promise.resolve(
        refuse(new NotFoundError(`function '${request.function}' does not exist`), Status.NOT_FOUND),
      );
    }
    const former = this.instances.get(request.dispatchId);
    if (former !== undefined) this.giveUp(former);
    const named = request.dispatchId === '' ? { ...request, dispatchId: randomUUID() } : request;
    const execution = new Execution(fn, named, incarnation, input, this.services);
    this.instances.set(execution);
    return this.watch(
      execution,
      outsideOfRuns(() => begin(execution)),
    );
  }

  private watch(execution: Execution, answered: Promise<RunAnswer>): Promise<RunAnswer> {
    return answered.then((answer) => {
      if (execution.phase !== 'suspended') this.instances.delete(execution);
      else if (this.options.replay === 'always') this.giveUp(execution);
      else this.instances.suspended(execution, this.options.clock.now());
      return answer;
    });
  }

  private giveUp(execution: Execution): void {
    this.instances.delete(execution);
    execution.abandon();
  }
}

function otherVersion(began: string, here: string): string {
  const name = (version: string): string => (version === '' ? 'a version without a name' : `version '${version}'`);
  return `${name(began)} of the function began it, and this is ${name(here)}: it waits until that one is back`;
}

function incompatible(request: RunRequest, why: string): RunAnswer {
  const error = new IncompatibleStateError(
    `${request.function} (${request.dispatchId}) cannot go on: its state is not usable, because ${why}.`,
  );
  return refuse(error, Status.INCOMPATIBLE_STATE);
}
