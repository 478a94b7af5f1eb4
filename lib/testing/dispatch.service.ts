import { timingSafeEqual, createHash } from 'node:crypto';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { failure } from '../endpoint/index.js';
import {
  ConfigurationError,
  InvalidArgumentError,
  isStatus,
  Status,
  statusOf,
  UnauthenticatedError,
} from '../errors/index.js';
import { type Call, CallSchema } from '../gen/dispatch/sdk/v1/call_pb.js';
import {
  DispatchRequestSchema,
  DispatchResponseSchema,
  type DispatchResponse,
} from '../gen/dispatch/sdk/v1/dispatch_pb.js';
import type { RunRequest, RunResponse } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { Poll } from '../gen/dispatch/sdk/v1/poll_pb.js';
import { PendingCall, resultOf } from './dispatch.queue.js';
import type { EndpointClient } from './endpoint.client.js';

export interface DispatchServiceOptions {
  /** The key that clients must send as a bearer token. Default: the variable `DISPATCH_API_KEY`. */
  readonly apiKey?: string;
  /**
   * The statuses after which a call is run again, in the next pass; all others are final. `Status.INCOMPATIBLE_STATE`
   * begins again from the first input. Default: THROTTLED, TIMEOUT, TEMPORARY_ERROR, DNS_ERROR, TCP_ERROR, TLS_ERROR,
   * HTTP_ERROR and INCOMPATIBLE_STATE.
   */
  readonly retryOnStatus?: Iterable<Status>;
  /** Keeps every request and its answer in `roundtrips`. Default false. */
  readonly collectRoundtrips?: boolean;
  /**
   * What time it is, in milliseconds since 1970: timers and expirations pass by it. A service that is started asks every
   * 10 ms. Default: the machine's clock; `() => time.now` where a `TestTime` controls the application.
   */
  readonly now?: () => number;
}

/** What came with a request, beside its message. */
export interface DispatchContext {
  /** Header fields; of them `authorization` is read: `Bearer KEY`. Names in any case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** A run that is to be made. */
export interface QueuedRun {
  readonly dispatchId: string;
  /** What the run is made with, as it is known now: results that come until then are added. */
  readonly request: RunRequest;
  /** Not before that, in milliseconds since 1970. */
  readonly dueAt: number;
}

/** What was sent to the endpoint, and what it answered; a call that failed on the way has an answer with its status. */
export type Roundtrip = readonly [request: RunRequest, response: RunResponse];

const RETRIED = [
  Status.THROTTLED,
  Status.TIMEOUT,
  Status.TEMPORARY_ERROR,
  Status.DNS_ERROR,
  Status.TCP_ERROR,
  Status.TLS_ERROR,
  Status.HTTP_ERROR,
  Status.INCOMPATIBLE_STATE,
];

/** Runs of a pass that are made at the same time. */
const CONCURRENCY = 100;
/** Between a pass after which something is run again and the next one, and between looks at a test's time, in milliseconds. */
const SHORT_PAUSE = 10;
/** The longest delay of `setTimeout`: a longer one fires at once. */
const LONGEST_DELAY = 2 ** 31 - 1;

const FUNCTION_NAME = /^[a-zA-Z_][a-zA-Z0-9_<>.]*$/;
const ENDPOINT = /^(https?:\/\/|bridge:\/\/|arn:aws:lambda)/;

/**
 * A scheduler with the least that tests of endpoints and of clients need: in memory, with nothing lost and nothing kept.
 * Every call goes to its one endpoint, whatever address it names.
 *
 * ```ts
 * const service = new DispatchService(EndpointClient.fromApp(app), { apiKey: 'a key', collectRoundtrips: true });
 * const { dispatchIds } = await service.dispatch(request, { headers: { authorization: 'Bearer a key' } });
 * while (service.queue.length > 0) await service.dispatchCalls();
 * const [[request, response]] = service.roundtrips.get(dispatchIds[0]);
 * ```
 */
export class DispatchService {
  /** The round trips of each call in order, by its id. Empty unless `collectRoundtrips` is set. */
  readonly roundtrips: ReadonlyMap<string, readonly Roundtrip[]>;
  private readonly collected = new Map<string, Roundtrip[]>();
  private readonly apiKey: string;
  private readonly retried: ReadonlySet<Status>;
  private readonly collects: boolean;
  private readonly now: () => number;
  /** Milliseconds of real time. */
  private readonly longestPause: number;
  private readonly pending = new Set<PendingCall>();
  private readonly forget = (ended: PendingCall): void => void this.pending.delete(ended);
  private passes: Promise<unknown> = Promise.resolve();
  private loop: Promise<void> | undefined;
  private stopping = false;
  private wake: () => void = () => undefined;

  /**
   * @param endpoint where calls are run
   * @throws ConfigurationError when there is no API key, or `retryOnStatus` holds something else than statuses
   */
  constructor(
    private readonly endpoint: Pick<EndpointClient, 'run'>,
    {
      apiKey = process.env['DISPATCH_API_KEY'],
      retryOnStatus = RETRIED,
      collectRoundtrips = false,
      now,
    }: DispatchServiceOptions = {},
  ) {
    if (apiKey === undefined || apiKey === '') {
      throw new ConfigurationError(
        'DispatchService has no API key to check requests with: give the option apiKey, or set DISPATCH_API_KEY.',
      );
    }
    this.apiKey = apiKey;
    this.retried = new Set(retryOnStatus);
    this.collects = collectRoundtrips;
    this.now = now ?? (() => Date.now());
    // Nobody tells when a test moves its time.
    this.longestPause = now === undefined ? Infinity : SHORT_PAUSE;
    this.roundtrips = this.collected;
    for (const status of this.retried) {
      if (isStatus(status) && status !== Status.OK && status !== Status.UNSPECIFIED) continue;
      throw new ConfigurationError(
        `The option retryOnStatus holds ${String(status)}, which is no status of a failure.`,
      );
    }
  }

  /**
   * The runs that are to be made, in order: of calls that have not begun, that are run again, that are resumed, and that
   * wait for nothing but a time. Empty when nothing is left to do.
   */
  get queue(): readonly QueuedRun[] {
    const now = this.now();
    return (
      [...this.queued()]
        // One that waits for results as well comes when they do, or when its time has come first.
        .filter(([call, dueAt]) => dueAt <= now || call.children.size === 0)
        .map(([call, dueAt]) => ({ dispatchId: call.id, request: call.request(), dueAt }))
    );
  }

  /**
   * Queues calls, all or none, and resolves with their ids, in order. Nothing is run yet.
   *
   * @throws UnauthenticatedError when the bearer token is missing or wrong
   * @throws InvalidArgumentError when a call names no function or no endpoint of a scheme that there is
   */
  async dispatch(
    request: MessageInitShape<typeof DispatchRequestSchema>,
    context: DispatchContext,
  ): Promise<DispatchResponse> {
    this.authenticate(context);
    const { calls } = create(DispatchRequestSchema, request);
    for (const call of calls) {
      const problem = problemOf(call) ?? endpointProblem(call);
      if (problem !== undefined) throw new InvalidArgumentError(problem);
    }
    const added = calls.map((call) => this.add(call, undefined));
    this.wake();
    return create(DispatchResponseSchema, { dispatchIds: added.map(({ id }) => id) });
  }

  /**
   * Makes one pass: every run that is queued now and due is made once. What comes of them is queued for the next pass:
   * retries, calls that functions have made, resumes, tail calls. A function that waits for a time (`max_wait`) stays
   * queued until it has come. Calls that have expired end first, with TIMEOUT.
   */
  dispatchCalls(): Promise<void> {
    const pass = this.passes.then(() => this.pass()).then(() => undefined);
    this.passes = pass.catch(() => undefined);
    return pass;
  }

  /** Makes pass after pass, until `stop`. Does nothing when it is started. */
  start(): void {
    this.stopping = false;
    this.loop ??= this.run().finally(() => (this.loop = undefined));
  }

  /** Resolves when the pass that is being made is over, and no other one follows. What is queued stays queued. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.wake();
    await this.loop;
    await this.passes;
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      const delay = this.nextDue() - this.now();
      if (delay > 0) await this.pause(delay);
      else {
        const pass = this.passes.then(() => this.pass());
        this.passes = pass.catch(() => undefined);
        if (await pass) await this.pause(SHORT_PAUSE);
      }
    }
  }

  private nextDue(): number {
    let next = Infinity;
    for (const { dueAt = Infinity, expiresAt = Infinity } of this.pending) next = Math.min(next, dueAt, expiresAt);
    return next;
  }

  /** Waits for a dispatch, a stop, or so many milliseconds. */
  private async pause(delay: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      if (this.stopping) return resolve();
      const longest = Math.min(delay, this.longestPause);
      if (longest !== Infinity) timer = setTimeout(resolve, Math.min(longest, LONGEST_DELAY));
    });
    clearTimeout(timer);
    this.wake = () => undefined;
  }

  private *queued(): Generator<[PendingCall, number]> {
    for (const call of this.pending) {
      if (call.dueAt !== undefined && call.dueAt !== Infinity) yield [call, call.dueAt];
    }
  }

  /** Whether something is to be run again. */
  private async pass(): Promise<boolean> {
    const now = this.now();
    this.expire(now);
    const due = [...this.queued()].filter(([, dueAt]) => dueAt <= now).map(([call]) => call);
    let again = false;
    for (let start = 0; start < due.length; start += CONCURRENCY) {
      const slice = due.slice(start, start + CONCURRENCY).filter(({ ended }) => !ended);
      for (const call of slice) call.dueAt = undefined;
      // Answers are taken in the order of the queue, whichever came first: a test sees the same order every time.
      const answered = await Promise.all(slice.map(async (call) => [call, await this.roundtrip(call)] as const));
      for (const [call, response] of answered) again = this.settle(call, response) || again;
    }
    return again;
  }

  /** Ends the calls that have not come to an end in the time they were given, and what they have called. */
  private expire(now: number): void {
    for (const call of this.pending) {
      if (call.expiresAt === undefined || call.expiresAt > now) continue;
      const message = `${call.call.function} did not end within its expiration of ${call.expiresAt - call.createdAt} ms`;
      this.finish(call, failure(Status.TIMEOUT, message).response);
    }
  }

  private async roundtrip(call: PendingCall): Promise<RunResponse> {
    const request = call.request();
    call.sent = request.directive.case === 'pollResult' ? request.directive.value.results.length : 0;
    const response = await this.answer(request);
    if (this.collects) {
      const trips = this.collected.get(call.id) ?? [];
      trips.push([request, response]);
      this.collected.set(call.id, trips);
    }
    return response;
  }

  private async answer(request: RunRequest): Promise<RunResponse> {
    try {
      return await this.endpoint.run(request);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return failure(statusOf(error), message).response;
    }
  }

  /** Whether the call is to be run again because it failed. */
  private settle(call: PendingCall, response: RunResponse): boolean {
    if (call.ended) return false;
    const { status, directive } = response;
    if (this.retried.has(status)) {
      if (status === Status.INCOMPATIBLE_STATE) call.beginAgain(this.forget);
      this.requeue(call, this.now());
      return true;
    }
    call.results.splice(0, call.sent);
    if (status === Status.OK && directive.case === 'poll') this.suspend(call, directive.value);
    else if (status === Status.OK && directive.case === 'exit' && directive.value.tailCall !== undefined) {
      this.replace(call, directive.value.tailCall);
    } else if (status === Status.OK && directive.case === undefined) {
      this.refuse(call, `${call.call.function} answered with neither an exit nor a poll`);
    } else this.finish(call, response);
    return false;
  }

  private suspend(call: PendingCall, poll: Poll): void {
    const problem = poll.calls.map(problemOf).find((found) => found !== undefined);
    if (problem !== undefined) return this.refuse(call, problem);
    call.poll = poll;
    for (const made of poll.calls) call.children.add(this.add(made, call));
    if (call.hasEnoughResults) return this.requeue(call, this.now());
    if (poll.maxWait !== undefined) return this.requeue(call, this.now() + durationMs(poll.maxWait));
    if (call.children.size > 0) return this.requeue(call, Infinity);
    this.refuse(call, `${call.call.function} waits for nothing: it has made no calls, and names no time`);
  }

  /** A tail call: another call under the same id. */
  private replace(call: PendingCall, tail: Call): void {
    const problem = problemOf(tail);
    if (problem !== undefined) return this.refuse(call, problem);
    call.beginAgain(this.forget);
    call.call = create(CallSchema, { ...tail, correlationId: call.call.correlationId });
    this.requeue(call, this.now());
  }

  private refuse(call: PendingCall, problem: string): void {
    this.finish(call, failure(Status.INVALID_RESPONSE, problem).response);
  }

  private finish(call: PendingCall, response: RunResponse): void {
    call.end(this.forget);
    const { parent } = call;
    if (parent === undefined || !parent.children.delete(call)) return;
    parent.results.push(resultOf(call, response));
    // One that is being run at the moment is asked what it waits for once it has answered.
    if (parent.dueAt !== undefined && parent.hasEnoughResults) this.requeue(parent, Math.min(parent.dueAt, this.now()));
  }

  private add(call: Call, parent: PendingCall | undefined): PendingCall {
    const added = new PendingCall(call, parent, this.now());
    this.requeue(added, added.createdAt);
    return added;
  }

  /** Puts a call at the end of the queue. */
  private requeue(call: PendingCall, dueAt: number): void {
    call.dueAt = dueAt;
    this.pending.delete(call);
    this.pending.add(call);
  }

  private authenticate({ headers }: DispatchContext): void {
    const [, value] = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization') ?? [];
    if (value === undefined) {
      throw new UnauthenticatedError('the request has no Authorization header: send "Bearer" and the API key');
    }
    if (!isSame(value, `Bearer ${this.apiKey}`)) {
      throw new UnauthenticatedError('the API key is wrong: check DISPATCH_API_KEY, or the option that gave it');
    }
  }
}

function problemOf({ function: name }: Call): string | undefined {
  if (name === '') return 'a call names no function';
  return FUNCTION_NAME.test(name) ? undefined : `the function name '${name}' does not match ${FUNCTION_NAME.source}`;
}

function endpointProblem({ endpoint, function: name }: Call): string | undefined {
  if (ENDPOINT.test(endpoint)) return undefined;
  return `the endpoint '${endpoint}' of ${name} does not begin with http://, https://, bridge:// or arn:aws:lambda`;
}

/** Takes as long whether they differ at the first character or at the last one. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
