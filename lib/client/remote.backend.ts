import { setTimeout as delay } from 'node:timers/promises';
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Sourced } from '../dispatch.settings.js';
import {
  DispatchError,
  InvalidArgumentError,
  InvalidResponseError,
  isRetryable,
  NotFoundError,
  TimeoutError,
} from '../errors/index.js';
import { CallSchema, type Call } from '../gen/dispatch/sdk/v1/call_pb.js';
import { DispatchService } from '../gen/dispatch/sdk/v1/dispatch_pb.js';
import { CallService, type NewCallSchema, type WaitCallResponse } from '../gen/nestjs_dispatch/v1/calls_pb.js';
import {
  NoSuchMethodError,
  readCallInfo,
  writeFilter,
  type RemoteScheduler,
  type InvokeOptions,
} from '../remote/index.js';
import type { CallerTransaction, CallInfo, CallInfoPage } from '../scheduler/index.js';
import type { Backend, ListFilter, OutgoingCall } from './backend.js';
import { readResult } from './call.result.js';
import type { DispatchID } from './client.types.js';
import type { RemoteResults } from './remote.results.js';

const DEFAULT_WAIT = 5 * 60_000;
/** How long one request of a wait may take: the scheduler answers before. */
const POLL = 30_000;
const POLL_OVERHEAD = 10_000;
/** Pauses of a wait while the scheduler cannot be reached: from the first, doubling, to the last. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 2_000;

interface WaitLimits {
  readonly timeout: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** A scheduler that is reached over the network: `DispatchService` of PROTOCOL, and `CallService` where it has that. */
export class RemoteBackend implements Backend {
  readonly waitsDurably = false;

  constructor(
    private readonly scheduler: RemoteScheduler,
    /** This application's own address, where the scheduler is to run its functions. */
    private readonly endpointUrl: Sourced<URL> | undefined,
    private readonly results: RemoteResults,
  ) {}

  async dispatch(calls: readonly OutgoingCall[], transaction?: CallerTransaction): Promise<DispatchID[]> {
    if (transaction !== undefined) throw this.refuseTransaction();
    const { ids } = await this.send(calls);
    if (ids.length === calls.length) return ids;
    throw new InvalidResponseError(
      `The scheduler at ${this.scheduler.origin} answered ${calls.length} calls with ${ids.length} ids: check ${this.scheduler.source}.`,
    );
  }

  async wait(id: DispatchID, { timeout = DEFAULT_WAIT, signal }: WaitLimits): Promise<unknown> {
    const deadline = performance.now() + timeout;
    let failure: unknown;
    for (let pause = FIRST_PAUSE; ;) {
      signal?.throwIfAborted();
      const left = deadline - performance.now();
      if (left <= 0) throw overdue(id, timeout, failure);
      const polled = await this.poll(id, Math.min(left, POLL), signal).catch((error: unknown) => ({ error }));
      if ('error' in polled) {
        if (polled.error instanceof NoSuchMethodError) return this.waitForRun(id, left, timeout, signal);
        if (!isTransient(polled.error)) throw polled.error;
        failure = polled.error;
        // The call goes on, and so does the wait: the scheduler may be starting again.
        await delay(Math.min(pause, left), undefined, { signal }).catch(() => undefined);
        pause = Math.min(2 * pause, LONGEST_PAUSE);
      } else {
        if (polled.answer.case === 'outcome') return outcomeOf(id, polled.answer.value);
        if (polled.answer.case === 'unknown') throw unknownCall(id);
        failure = undefined;
        pause = FIRST_PAUSE;
      }
    }
  }

  async get(id: DispatchID): Promise<CallInfo | undefined> {
    const { call } = await this.invoke('get', CallService.method.get, { dispatchId: id });
    return call && readCallInfo(call);
  }

  async list({ limit, after, ...filter }: ListFilter): Promise<CallInfoPage> {
    for (let next = after; ;) {
      const page = await this.invoke('list', CallService.method.list, writeFilter(filter, { limit, after: next }));
      const calls = page.calls.map(readCallInfo);
      next = page.next === '' ? undefined : page.next;
      // Calls of others lie between: there may be more behind a page that is empty.
      if (calls.length > 0 || next === undefined) return { calls, next };
    }
  }

  async cancel(id: DispatchID): Promise<boolean> {
    const { answer } = await this.invoke('cancel', CallService.method.cancel, { dispatchId: id });
    if (answer.case === 'unknown') throw unknownCall(id);
    return answer.case === 'cancelled';
  }

  async retry(id: DispatchID): Promise<void> {
    const { answer } = await this.invoke('retry', CallService.method.retry, { dispatchId: id });
    if (answer.case === 'unknown') throw unknownCall(id);
  }

  /** Closes the idle connections. */
  close(): void {
    this.scheduler.close();
  }

  /** What only `CallService` can do is asked of it; plain calls are taken by every scheduler. */
  private async send(calls: readonly OutgoingCall[]): Promise<{ ids: string[] }> {
    const isPlain = calls.every((call) => call.id === undefined && optionOf(call) === undefined);
    if (!isPlain) {
      try {
        const sent = calls.map((call) => this.toNewCall(call));
        return { ids: (await this.scheduler.invoke(CallService.method.dispatch, { calls: sent })).dispatchIds };
      } catch (error) {
        if (!(error instanceof NoSuchMethodError)) throw error;
        refuseOptions(calls);
      }
    }
    const plain = calls.map((call) => this.toCall(call));
    try {
      return { ids: (await this.scheduler.invoke(DispatchService.method.dispatch, { calls: plain })).dispatchIds };
    } catch (error) {
      if (!(error instanceof NoSuchMethodError)) throw error;
      const { origin, source } = this.scheduler;
      throw new NotFoundError(
        `There is no Dispatch scheduler at ${origin}: it answered with ${error.message}. Check ${source}.`,
      );
    }
  }

  private poll(id: DispatchID, timeout: number, signal: AbortSignal | undefined): Promise<WaitCallResponse> {
    const request = { dispatchId: id, timeout: durationFromMs(Math.ceil(timeout)) };
    return this.scheduler.invoke(CallService.method.wait, request, {
      timeout: Math.ceil(timeout) + POLL_OVERHEAD,
      signal,
    });
  }

  /** The scheduler does not tell results: those of functions that this process runs pass through here. */
  private async waitForRun(
    id: DispatchID,
    left: number,
    timeout: number,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const seen = await this.results.take(id, left, signal);
    if (seen !== undefined) return readResult(seen.result, seen.status);
    throw new TimeoutError(
      `The result of call ${id} has not come within ${timeout} ms. With this scheduler a process sees only the results ` +
        `of functions that it ran itself: the call may be running still, or have run in another instance or application.`,
    );
  }

  private async invoke<I extends DescMessage, O extends DescMessage>(
    name: string,
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
    options?: InvokeOptions,
  ): Promise<MessageShape<O>> {
    try {
      return await this.scheduler.invoke(method, init, options);
    } catch (error) {
      if (!(error instanceof NoSuchMethodError)) throw error;
      throw new InvalidArgumentError(
        `${name}() is not possible with the scheduler at ${this.scheduler.origin}, which only takes calls (${error.message}): ` +
          `use one of this package (npx nestjs-dispatch serve), or the embedded one.`,
      );
    }
  }

  private refuseTransaction(): InvalidArgumentError {
    const { source, origin } = this.scheduler;
    return new InvalidArgumentError(
      `with({ transaction }) is not possible with the scheduler at ${origin} (${source}), which writes to a store of its own. ` +
        'Calls join the transactions of an application that has its scheduler embedded, with scheduler.store (DISPATCH_STORE) ' +
        'set to postgres://… of the same database.',
    );
  }

  private toNewCall(call: OutgoingCall): MessageInitShape<typeof NewCallSchema> {
    const { idempotencyKey, dueAt, id, priority, key } = call;
    return {
      call: this.toCall(call),
      dueAt: dueAt === undefined ? undefined : timestampFromMs(dueAt),
      idempotencyKey: idempotencyKey ?? '',
      stepKey: idempotencyKey === undefined ? (id ?? '') : '',
      priority: priority ?? 0,
      key: key ?? '',
    };
  }

  private toCall({ endpoint, input, function: name, version = '', expiration }: OutgoingCall): Call {
    const lifetime = expiration === undefined ? undefined : durationFromMs(expiration);
    return create(CallSchema, {
      endpoint: endpoint ?? this.ownEndpoint(name),
      function: name,
      version,
      input,
      expiration: lifetime,
    });
  }

  private ownEndpoint(name: string): string {
    if (this.endpointUrl !== undefined) return this.endpointUrl.value.href.replace(/\/$/, '');
    throw new InvalidArgumentError(
      `${name} cannot be dispatched: the scheduler must know where to call this application. Set DISPATCH_ENDPOINT_URL ` +
        `(or the option endpointUrl) to its address.`,
    );
  }
}

function refuseOptions(calls: readonly OutgoingCall[]): void {
  for (const call of calls) {
    const option = optionOf(call);
    if (option === undefined) continue;
    throw new InvalidArgumentError(
      `The call of ${call.function} has the option ${option}, which the protocol of remote schedulers does not have: ` +
        `leave it out, or use a scheduler of this package (npx nestjs-dispatch serve).`,
    );
  }
}

/** An option of the call that the protocol of Dispatch has no place for. */
function optionOf({ idempotencyKey, priority, key, dueAt }: OutgoingCall): string | undefined {
  if (idempotencyKey !== undefined) return 'idempotencyKey';
  if (priority !== undefined) return 'priority';
  if (key !== undefined) return 'key';
  return dueAt === undefined ? undefined : 'delay or at';
}

function outcomeOf(
  id: DispatchID,
  { result, status }: Extract<WaitCallResponse['answer'], { case: 'outcome' }>['value'],
): unknown {
  if (result === undefined) throw new InvalidResponseError(`The scheduler gave no result of the finished call ${id}.`);
  return readResult(result, status);
}

function overdue(id: DispatchID, timeout: number, failure: unknown): TimeoutError {
  const reason = failure instanceof Error ? ` The scheduler could not be asked lately: ${failure.message}` : '';
  return new TimeoutError(`the call ${id} has not finished within ${timeout} ms.${reason}`, { cause: failure });
}

const unknownCall = (id: DispatchID): NotFoundError => new NotFoundError(`there is no call ${id}`);

const isTransient = (error: unknown): boolean => error instanceof DispatchError && isRetryable(error.status);
