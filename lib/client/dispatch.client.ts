import { currentRun, outsideOfRuns, type RemoteCall } from '../coroutine/index.js';
import type { DurableMethod } from '../decorators/index.js';
import { parseDuration } from '../dispatch.duration.js';
import { InvalidArgumentError } from '../errors/index.js';
import type { Clock } from '../protocol/index.js';
import type { DispatchRegistry } from '../registry/index.js';
import type { CallInfo, CallInfoPage } from '../scheduler/index.js';
import type { Backend, ListFilter, OutgoingCall } from './backend.js';
import { CallBuilder } from './call.builder.js';
import { callerTransaction } from './caller.transaction.js';
import { checkDispatchOptions, readDispatchOptions, refuse } from './call.options.js';
import type {
  ArgumentsOf,
  CallsOf,
  DispatchID,
  DispatchOptions,
  ResultOf,
  ResultOptions,
  ResultsOf,
} from './client.types.js';
import { DispatchBatch } from './dispatch.batch.js';
import type { DispatchCall } from './dispatch.call.js';
import { dispatchInStep, refuseResultOptions, specOf, waitSpec } from './durable.calls.js';
import { refuseAwaited, refuseInFunction, transactionOf } from './joined.dispatch.js';

/**
 * Dispatches durable functions and tells what became of them. Injectable everywhere.
 *
 * ```ts
 * const id = await this.dispatch.of(this.pipeline).run(urls).dispatch();
 * const sum = await this.dispatch.call(this.pipeline.sum, 1, 2);
 * ```
 *
 * In a durable function `call`, `gather` and `result()` are durable calls, `dispatch` is recorded as a step, and `wait`
 * suspends the function.
 *
 * All methods reject with an InvalidArgumentError for what is no call or cannot be recorded.
 */
export class DispatchClient {
  private readonly builder: CallBuilder;

  /** @internal Inject it: the module creates it. */
  constructor(
    private readonly registry: Pick<DispatchRegistry, 'get' | 'namesOf'>,
    private readonly backend: Backend,
    private readonly clock: Pick<Clock, 'now'>,
    private readonly options: DispatchOptions = {},
  ) {
    this.builder = new CallBuilder(registry, this, options);
  }

  /** The same client with options for what it dispatches: `client.with({ delay: '1h' }).dispatch(fn, …)`. */
  with(options: DispatchOptions): DispatchClient {
    const merged = { ...this.options, ...options };
    checkDispatchOptions(merged);
    return new DispatchClient(this.registry, this.backend, this.clock, merged);
  }

  /** The provider's durable methods, each building a call: `client.of(this.pipeline).run(urls)`. */
  of<T extends object>(provider: T): CallsOf<T> {
    // The compiler cannot see that the proxy has what `CallsOf` derives from the provider's type.
    return new Proxy(provider, { get: (target, key) => this.builder.ofMethod(target, key) }) as unknown as CallsOf<T>;
  }

  /** A call of a method, or of a function of another service, to be dispatched later. */
  build<F extends DurableMethod>(fn: F, ...args: ArgumentsOf<F>): DispatchCall<ResultOf<F>>;
  build<R = unknown>(call: RemoteCall): DispatchCall<R>;
  build(target: object, ...args: unknown[]): DispatchCall<unknown> {
    return this.builder.from(target, args);
  }

  /** Dispatches a call; resolves with its id when it is durable, without waiting for it to run. */
  dispatch<F extends DurableMethod>(fn: F, ...args: ArgumentsOf<F>): Promise<DispatchID>;
  dispatch(call: DispatchCall<unknown> | RemoteCall): Promise<DispatchID>;
  async dispatch(target: object, ...args: unknown[]): Promise<DispatchID> {
    const [id] = await this.send([this.builder.from(target, args)]);
    if (id === undefined) throw new InvalidArgumentError('The scheduler gave no id for the call.');
    return id;
  }

  /** Dispatches a call and awaits its result; rejects with its error. */
  call<R>(call: DispatchCall<R>, options?: ResultOptions): Promise<R>;
  call<R = unknown>(call: RemoteCall, options?: ResultOptions): Promise<R>;
  call<F extends DurableMethod>(fn: F, ...args: ArgumentsOf<F>): Promise<ResultOf<F>>;
  call(target: object, ...args: unknown[]): Promise<unknown> {
    // In a durable function the promise of the run itself is handed on: `gather` and `race` know it.
    try {
      const call = this.builder.from(target, args);
      refuseAwaited([call]);
      const options = typeof target === 'function' ? undefined : (args[0] as ResultOptions | undefined);
      const run = currentRun();
      if (run === undefined) return this.dispatchAndWait(call, readResultOptions(options));
      refuseResultOptions(options);
      return run.call(specOf(call));
    } catch (error) {
      return rejected(error);
    }
  }

  /** Dispatches all calls in one request and awaits all results, in the order of the calls. Rejects with the first failure. */
  async gather<const T extends readonly DispatchCall<unknown>[]>(
    calls: T,
    options?: ResultOptions,
  ): Promise<ResultsOf<T>> {
    const built = calls.map((call) => this.builder.from(call, []));
    refuseAwaited(built);
    const run = currentRun();
    if (run !== undefined) {
      refuseResultOptions(options);
      return (await run.gather(built.map(specOf))) as ResultsOf<T>;
    }
    const wait = readResultOptions(options);
    const ids = await this.send(built);
    return (await Promise.all(ids.map((id) => this.backend.wait(id, wait)))) as ResultsOf<T>;
  }

  /** Collects calls, to be dispatched in one request. */
  batch(): DispatchBatch {
    return new DispatchBatch(
      (target, args) => this.builder.from(target, args),
      (calls) => this.send(calls),
    );
  }

  /** The result of a call that was dispatched; rejects with its error, with a NotFoundError for an id that is unknown. */
  wait<R = unknown>(id: DispatchID, options?: ResultOptions): Promise<R>;
  wait(id: DispatchID, options?: ResultOptions): Promise<unknown> {
    try {
      const run = currentRun();
      if (run === undefined || !this.backend.waitsDurably) {
        const wait = readResultOptions(options);
        return outsideOfRuns(() => this.backend.wait(id, wait));
      }
      refuseResultOptions(options);
      return run.call(waitSpec(id));
    } catch (error) {
      return rejected(error);
    }
  }

  /** Where a call stands; undefined for an id that is unknown. */
  get(id: DispatchID): Promise<CallInfo | undefined> {
    return outsideOfRuns(() => this.backend.get(id));
  }

  /** The calls that a filter lets through, in pages. */
  list(filter: ListFilter = {}): Promise<CallInfoPage> {
    return outsideOfRuns(() => this.backend.list(filter));
  }

  /**
   * Cancels a call and all that it called; resolves when that is durable. False: the call had finished already.
   *
   * @throws NotFoundError for an id that is unknown
   */
  cancel(id: DispatchID): Promise<boolean> {
    return outsideOfRuns(() => this.backend.cancel(id));
  }

  /**
   * Takes up a call again: one that failed or was cancelled begins anew, one that is incompatible goes on.
   *
   * @throws NotFoundError for an id that is unknown, InvalidArgumentError when there is nothing to retry
   */
  retry(id: DispatchID): Promise<void> {
    return outsideOfRuns(() => this.backend.retry(id));
  }

  private async dispatchAndWait(
    call: DispatchCall<unknown>,
    wait: ReturnType<typeof readResultOptions>,
  ): Promise<unknown> {
    const [id] = await this.send([call]);
    return this.backend.wait(id ?? '', wait);
  }

  private async send(calls: readonly DispatchCall<unknown>[]): Promise<DispatchID[]> {
    if (calls.length === 0) return [];
    const outgoing = calls.map((call, index) => toOutgoing(call, index, this.clock.now()));
    const run = currentRun();
    const transaction = transactionOf(calls);
    if (transaction !== undefined) {
      refuseInFunction(run);
      return this.backend.dispatch(outgoing, callerTransaction(transaction));
    }
    const send = (all: readonly OutgoingCall[]): Promise<DispatchID[]> => this.backend.dispatch(all);
    return run === undefined ? send(outgoing) : dispatchInStep(run, outgoing, send);
  }
}

function toOutgoing({ description }: DispatchCall<unknown>, index: number, now: number): OutgoingCall {
  const { endpoint, function: name, version, input, expiration, options } = description;
  const read = readDispatchOptions(options, now);
  const key = read.idempotencyKey;
  return {
    endpoint,
    function: name,
    version,
    input,
    expiration: read.expiration ?? expiration,
    dueAt: read.dueAt,
    idempotencyKey: key === undefined || index === 0 ? key : `${key}:${index}`,
    priority: read.priority,
    key: read.key,
    id: undefined,
  };
}

function readResultOptions(options: ResultOptions = {}): {
  timeout: number | undefined;
  signal: AbortSignal | undefined;
} {
  const { timeout, signal } = options;
  return { timeout: timeout === undefined ? undefined : parseDuration(timeout, 'timeout', refuse), signal };
}

function rejected(error: unknown): Promise<never> {
  return Promise.reject(error instanceof Error ? error : new InvalidArgumentError(String(error)));
}
