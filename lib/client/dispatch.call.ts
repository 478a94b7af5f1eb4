import type { Any } from '@bufbuild/protobuf/wkt';
import type { DispatchID, DispatchOptions, ResultOptions } from './client.types.js';

/** What dispatches and awaits calls: the client that built them. */
export interface CallDispatcher {
  dispatch(call: DispatchCall<unknown>): Promise<DispatchID>;
  call<R>(call: DispatchCall<R>, options?: ResultOptions): Promise<R>;
}

export interface CallDescription {
  readonly endpoint: string | undefined;
  readonly function: string;
  readonly version: string | undefined;
  readonly input: Any;
  readonly expiration: number | undefined;
  readonly options: DispatchOptions;
}

/**
 * A call of a durable function that has yet to be made: `dispatch()` it, await its `result()`, or hand it to `gather`,
 * `batch` or another client. Each `dispatch()` and `result()` makes a call of its own.
 */
export class DispatchCall<R = unknown> {
  /** The function's name. */
  readonly function: string;

  /** @internal Calls are built by `DispatchClient`. */
  constructor(
    /** @internal */
    readonly description: CallDescription,
    private readonly dispatcher: CallDispatcher,
  ) {
    this.function = description.function;
  }

  /** Dispatches the call; resolves with its id when it is durable, without waiting for it to run. */
  dispatch(): Promise<DispatchID> {
    return this.dispatcher.dispatch(this);
  }

  /** Makes the call and awaits its result; rejects with its error. In a durable function this is a durable call. */
  result(options?: ResultOptions): Promise<R> {
    return this.dispatcher.call(this, options);
  }
}
