import type { Any } from '@bufbuild/protobuf/wkt';
import { LOCAL_ENDPOINT } from '../dispatch.constants.js';
import { InvalidArgumentError, TemporaryError } from '../errors/index.js';
import type { CallInfo, CallInfoPage, NewCall, Scheduler } from '../scheduler/index.js';
import { inputHash } from '../values/index.js';
import type { Backend, ListFilter, OutgoingCall } from './backend.js';
import { readResult } from './call.result.js';
import type { DispatchID } from './client.types.js';
import { derivedId } from './durable.calls.js';

/** What the client needs of a scheduler in its process. */
export type CallScheduler = Pick<Scheduler, 'dispatch' | 'wait' | 'get' | 'list' | 'cancel' | 'retry'>;

const DEFAULT_PAGE = 100;

/** The scheduler that runs in the application. */
export class EmbeddedBackend implements Backend {
  readonly waitsDurably = true;
  private state: 'new' | 'open' | 'closed' = 'new';

  /** @param inputOf reads a recorded call's input */
  constructor(
    private readonly scheduler: CallScheduler,
    private readonly inputOf: (id: DispatchID) => Promise<Any | undefined>,
  ) {}

  /** The scheduler has started. */
  open(): void {
    this.state = 'open';
  }

  /** The scheduler is about to stop. */
  close(): void {
    this.state = 'closed';
  }

  async dispatch(calls: readonly OutgoingCall[]): Promise<DispatchID[]> {
    this.refuseUnlessOpen();
    const ids = await this.scheduler.dispatch(calls.map(toNewCall));
    await Promise.all(calls.map((call, index) => this.checkKey(call, ids[index])));
    return ids;
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

  /** The call that has the key must be this one: another one under it would vanish in silence. */
  private async checkKey(call: OutgoingCall, id: DispatchID | undefined): Promise<void> {
    const key = call.idempotencyKey;
    if (key === undefined || id === undefined) return;
    const [info, input] = await Promise.all([this.scheduler.get(id), this.inputOf(id)]);
    // A restart or a tail call has replaced what the call began as: there is nothing left to compare.
    if (info === undefined || info.incarnation > 1) return;
    const same =
      info.function === call.function &&
      info.endpoint === (call.endpoint ?? LOCAL_ENDPOINT) &&
      (input === undefined || sameBytes(inputHash(input), inputHash(call.input)));
    if (same) return;
    const difference = info.function === call.function ? 'with another input' : `of ${info.function}`;
    throw new InvalidArgumentError(
      `The idempotency key ${JSON.stringify(key)} belongs to a call ${difference} (${id}): the call of ${call.function} ` +
        `was not made. Give each call that is to be made a key of its own.`,
    );
  }
}

function toNewCall(call: OutgoingCall): NewCall {
  const { endpoint = LOCAL_ENDPOINT, function: name, version, input, expiration, dueAt, priority, key } = call;
  const id = call.idempotencyKey === undefined ? call.id : derivedId(call.idempotencyKey);
  return { endpoint, function: name, version, input, expiration, dueAt, priority, key, id };
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
