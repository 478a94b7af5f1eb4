import type { DurableMethod } from '../decorators/index.js';
import type { RemoteCall } from '../coroutine/index.js';
import type { ArgumentsOf, DispatchID } from './client.types.js';
import type { DispatchCall } from './dispatch.call.js';

/** Calls that are dispatched in one request: all of them are recorded, or none. */
export class DispatchBatch {
  private readonly calls: DispatchCall<unknown>[] = [];

  /** @internal Batches are made by `DispatchClient.batch()`. */
  constructor(
    private readonly build: (target: object, args: readonly unknown[]) => DispatchCall<unknown>,
    private readonly send: (calls: readonly DispatchCall<unknown>[]) => Promise<DispatchID[]>,
  ) {}

  /** How many calls it holds. */
  get size(): number {
    return this.calls.length;
  }

  add<F extends DurableMethod>(fn: F, ...args: ArgumentsOf<F>): this;
  add(call: DispatchCall<unknown> | RemoteCall): this;
  add(target: object, ...args: unknown[]): this {
    this.calls.push(this.build(target, args));
    return this;
  }

  clear(): void {
    this.calls.length = 0;
  }

  /** Dispatches the calls and empties the batch; resolves with their ids, in the order in which they were added. On a failure the batch stays as it is. */
  async dispatch(): Promise<DispatchID[]> {
    const calls = [...this.calls];
    const ids = await this.send(calls);
    this.calls.splice(0, calls.length);
    return ids;
  }
}
