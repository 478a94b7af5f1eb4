import type { RunRequest, RunResponse } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { CallResult } from '../gen/dispatch/sdk/v1/call_pb.js';
import { isIncompatible, isRetryable, type Status } from '../errors/index.js';
import type { DispatchID } from './client.types.js';

export interface SeenResult {
  readonly status: Status;
  readonly result: CallResult;
}

/** How many results are remembered for someone who asks later. */
const REMEMBERED = 1_000;

/**
 * Results of calls that a remote scheduler had this process run. The protocol has no way to ask for a result, so those
 * that pass through here are all that can be known.
 */
export class RemoteResults {
  /** In the order in which they were seen. */
  private readonly seen = new Map<DispatchID, SeenResult>();
  private readonly waiters = new Map<DispatchID, Set<(result: SeenResult) => void>>();

  /** Notes the answer of a run, when it ends its call. */
  observe(request: RunRequest, response: RunResponse): void {
    const { status, directive } = response;
    // Tail calls, and failures that the scheduler makes again, go on under the same id.
    if (directive.case !== 'exit' || directive.value.tailCall !== undefined) return;
    const { result } = directive.value;
    if (result === undefined || request.dispatchId === '' || isRetryable(status) || isIncompatible(status)) return;
    this.record(request.dispatchId, { status, result });
  }

  /** Resolves with the result when it is seen; undefined at once when nobody has it within `timeout` milliseconds. */
  async take(id: DispatchID, timeout: number, signal: AbortSignal | undefined): Promise<SeenResult | undefined> {
    signal?.throwIfAborted();
    const known = this.seen.get(id);
    if (known !== undefined) return known;
    const waiters = this.waiters.get(id) ?? new Set();
    this.waiters.set(id, waiters);
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        waiters.delete(deliver);
        if (waiters.size === 0 && this.waiters.get(id) === waiters) this.waiters.delete(id);
        settle();
      };
      const deliver = (result: SeenResult): void => finish(() => resolve(result));
      const abort = (): void => finish(() => reject(signal?.reason as Error));
      // Longer delays than the machine's timers can hold would fire at once.
      const timer = setTimeout(() => finish(() => resolve(undefined)), Math.min(timeout, 2 ** 31 - 1));
      signal?.addEventListener('abort', abort, { once: true });
      waiters.add(deliver);
    });
  }

  private record(id: DispatchID, result: SeenResult): void {
    this.seen.delete(id);
    this.seen.set(id, result);
    for (const oldest of this.seen.keys()) {
      if (this.seen.size <= REMEMBERED) break;
      this.seen.delete(oldest);
    }
    for (const deliver of this.waiters.get(id) ?? []) deliver(result);
  }
}
