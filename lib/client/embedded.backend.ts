import { LOCAL_ENDPOINT } from '../dispatch.constants.js';
import { TemporaryError } from '../errors/index.js';
import {
  refuseIfOther,
  type CallerTransaction,
  type CallInfo,
  type CallInfoPage,
  type KnownCall,
  type NewCall,
  type Scheduler,
} from '../scheduler/index.js';
import type { Backend, ListFilter, OutgoingCall } from './backend.js';
import { readResult } from './call.result.js';
import type { DispatchID } from './client.types.js';
import { derivedId } from './durable.calls.js';

/** What the client needs of a scheduler in its process. */
export type CallScheduler = Pick<Scheduler, 'dispatch' | 'dispatchIn' | 'wait' | 'get' | 'list' | 'cancel' | 'retry'>;

const DEFAULT_PAGE = 100;

/** The scheduler that runs in the application. */
export class EmbeddedBackend implements Backend {
  readonly waitsDurably = true;
  private state: 'new' | 'open' | 'closed' = 'new';

  constructor(private readonly scheduler: CallScheduler) {}

  /** The scheduler has started. */
  open(): void {
    this.state = 'open';
  }

  /** The scheduler is about to stop. */
  close(): void {
    this.state = 'closed';
  }

  async dispatch(calls: readonly OutgoingCall[], transaction?: CallerTransaction): Promise<DispatchID[]> {
    this.refuseUnlessOpen();
    const accept = (known: KnownCall, index: number): void => {
      const call = calls[index];
      if (call) refuseIfOther({ ...call, endpoint: call.endpoint ?? LOCAL_ENDPOINT }, known);
    };
    const made = calls.map(toNewCall);
    if (transaction !== undefined) return this.scheduler.dispatchIn(transaction, made, accept);
    return this.scheduler.dispatch(made, accept);
  }

  async wait(
    id: DispatchID,
    options: { timeout: number | undefined; signal: AbortSignal | undefined },
  ): Promise<unknown> {
    this.refuseUnlessOpen();
    const { result, status } = await this.scheduler.wait(id, options);
    return readResult(result, status);
  }

  async get(id: DispatchID): Promise<CallInfo | undefined> {
    this.refuseUnlessOpen();
    return this.scheduler.get(id);
  }

  async list({ limit = DEFAULT_PAGE, after, ...filter }: ListFilter): Promise<CallInfoPage> {
    this.refuseUnlessOpen();
    return this.scheduler.list(filter, { limit, after });
  }

  async cancel(id: DispatchID): Promise<boolean> {
    this.refuseUnlessOpen();
    return this.scheduler.cancel(id);
  }

  async retry(id: DispatchID): Promise<void> {
    this.refuseUnlessOpen();
    await this.scheduler.retry(id);
  }

  private refuseUnlessOpen(): void {
    switch (this.state) {
      case 'open':
        return;
      case 'new':
        throw new TemporaryError(
          'The scheduler has not started yet: dispatch from onApplicationBootstrap() on, or after app.init() or app.listen().',
        );
      case 'closed':
        throw new TemporaryError('The application is shutting down: its scheduler takes no more calls.');
    }
  }
}

function toNewCall(call: OutgoingCall): NewCall {
  const { endpoint = LOCAL_ENDPOINT, function: name, version, input, expiration, dueAt, priority, key } = call;
  const id = call.idempotencyKey === undefined ? call.id : derivedId(call.idempotencyKey);
  return { endpoint, function: name, version, input, expiration, dueAt, priority, key, id };
}
