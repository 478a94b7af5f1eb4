import { AsyncLocalStorage } from 'node:async_hooks';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { RunRequest } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { CurrentCall } from './types.js';

/** What `currentCall()` tells of a request's call. Most functions never ask, so it is worked out when they do. */
export class RequestedCall implements CurrentCall {
  private controller: AbortController | undefined;
  /** Where the signal was asked for: listeners belong there, whoever ends the run. */
  private inContext: ((listeners: () => void) => void) | undefined;
  private runSignal: (() => AbortSignal | undefined) | undefined;

  constructor(
    private readonly request: RunRequest,
    private readonly attemptNow: () => number,
  ) {}

  get id(): string {
    return this.request.dispatchId;
  }
  get parentId(): string | undefined {
    return this.request.parentDispatchId === '' ? undefined : this.request.parentDispatchId;
  }
  get rootId(): string {
    return this.request.rootDispatchId;
  }
  get function(): string {
    return this.request.function;
  }
  get attempt(): number {
    return this.attemptNow();
  }
  get creationTime(): Date | undefined {
    const { creationTime } = this.request;
    return creationTime === undefined ? undefined : timestampDate(creationTime);
  }
  get expirationTime(): Date | undefined {
    const { expirationTime } = this.request;
    return expirationTime === undefined ? undefined : timestampDate(expirationTime);
  }
  /** One signal for all runs of an instance: it fires with the signal of the run that is in flight. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      this.inContext = AsyncLocalStorage.snapshot();
      this.follow(this.controller);
    }
    return this.controller.signal;
  }

  /** A run has begun, with this signal. */
  beginRun(signal: () => AbortSignal | undefined): void {
    this.runSignal = signal;
    if (this.controller !== undefined) this.follow(this.controller);
  }

  /** The instance was given up. */
  abort(reason: Error): void {
    this.controller ??= new AbortController();
    this.fire(this.controller, reason);
  }

  private follow(controller: AbortController): void {
    const signal = this.runSignal?.();
    if (signal === undefined) return;
    if (signal.aborted) this.fire(controller, signal.reason);
    else signal.addEventListener('abort', () => this.fire(controller, signal.reason), { once: true });
  }

  private fire(controller: AbortController, reason: unknown): void {
    if (this.inContext === undefined) controller.abort(reason);
    else this.inContext(() => controller.abort(reason));
  }
}
