import type { Any } from '@bufbuild/protobuf/wkt';
import type { CallerTransaction, CallFilter, CallInfo, CallInfoPage } from '../scheduler/index.js';
import type { DispatchID } from './client.types.js';

/** A call on its way to a scheduler. */
export interface OutgoingCall {
  /** Undefined: this application. */
  readonly endpoint: string | undefined;
  readonly function: string;
  readonly version: string | undefined;
  readonly input: Any;
  /** Milliseconds after its creation. */
  readonly expiration: number | undefined;
  /** Milliseconds since 1970. */
  readonly dueAt: number | undefined;
  readonly idempotencyKey: string | undefined;
  readonly priority: number | undefined;
  readonly key: string | undefined;
  /** The id to give it, for a call that may be dispatched again by a replay. */
  readonly id: DispatchID | undefined;
}

/** A filter of `list`, and which page. */
export interface ListFilter extends CallFilter {
  /** How many calls at most. Default 100. */
  readonly limit?: number;
  /** `next` of the page before. */
  readonly after?: string;
}

/** The scheduler that a client talks to. */
export interface Backend {
  /**
   * Dispatches all calls or none; resolves with their ids when they are durable, or are part of the transaction, which
   * decides whether they will be.
   */
  dispatch(calls: readonly OutgoingCall[], transaction?: CallerTransaction): Promise<DispatchID[]>;
  /** The call's result; rejects with its error. */
  wait(id: DispatchID, options: { timeout: number | undefined; signal: AbortSignal | undefined }): Promise<unknown>;
  get(id: DispatchID): Promise<CallInfo | undefined>;
  list(filter: ListFilter): Promise<CallInfoPage>;
  /** False when the call had finished already. */
  cancel(id: DispatchID): Promise<boolean>;
  retry(id: DispatchID): Promise<void>;
  /** Whether a durable function can wait for any call durably. */
  readonly waitsDurably: boolean;
}
