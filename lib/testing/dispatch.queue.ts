import { randomUUID } from 'node:crypto';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { durationMs, EmptySchema, anyPack, timestampFromMs, type Any } from '@bufbuild/protobuf/wkt';
import { errorClassOfStatus } from '../endpoint/index.js';
import { Status } from '../errors/index.js';
import { CallResultSchema, type Call, type CallResult } from '../gen/dispatch/sdk/v1/call_pb.js';
import { RunRequestSchema, type RunRequest, type RunResponse } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { Poll } from '../gen/dispatch/sdk/v1/poll_pb.js';

const MAX_RESULTS = 1_000;

/** A call that has not ended: what it is made with, and what it waits for. */
export class PendingCall {
  readonly id = randomUUID().replaceAll('-', '');
  readonly children = new Set<PendingCall>();
  readonly results: CallResult[] = [];
  readonly createdAt: number;
  readonly expiresAt: number | undefined;
  /** The last poll; undefined: the call has not begun, or begins again. */
  poll: Poll | undefined;
  /** Results that the request in flight carries. */
  sent = 0;
  /** When it is to be run, in milliseconds since 1970; Infinity: not before results come; undefined: it is not queued. */
  dueAt: number | undefined;
  ended = false;

  constructor(
    public call: Call,
    readonly parent: PendingCall | undefined,
    now: number,
  ) {
    this.createdAt = now;
    this.expiresAt = call.expiration === undefined ? undefined : now + durationMs(call.expiration);
  }

  get root(): PendingCall {
    return this.parent?.root ?? this;
  }

  /** The request that the next run is made with. */
  request(): RunRequest {
    const directive: MessageInitShape<typeof RunRequestSchema>['directive'] =
      this.poll === undefined
        ? { case: 'input', value: this.call.input ?? emptyInput() }
        : { case: 'pollResult', value: { state: this.poll.state, results: this.results.slice(0, this.mostResults) } };
    return create(RunRequestSchema, {
      function: this.call.function,
      directive,
      dispatchId: this.id,
      parentDispatchId: this.parent?.id ?? '',
      rootDispatchId: this.root.id,
      creationTime: timestampFromMs(this.createdAt),
      expirationTime: this.expiresAt === undefined ? undefined : timestampFromMs(this.expiresAt),
    });
  }

  /** Begins anew, from the call's input: what it has called so far is of no interest any more. */
  beginAgain(onEnd: (ended: PendingCall) => void): void {
    this.poll = undefined;
    this.results.length = 0;
    this.dropChildren(onEnd);
  }

  /** Neither it nor what it has called is run again. */
  end(onEnd: (ended: PendingCall) => void): void {
    this.ended = true;
    this.dueAt = undefined;
    onEnd(this);
    this.dropChildren(onEnd);
  }

  /** Whether as many results are there as the poll asked for, or as there will ever be. */
  get hasEnoughResults(): boolean {
    const possible = this.results.length + this.children.size;
    const least = clamp(this.poll?.minResults ?? 1);
    return this.results.length > 0 && this.results.length >= Math.min(least, possible);
  }

  private get mostResults(): number {
    const most = this.poll?.maxResults ?? 0;
    return most === 0 ? MAX_RESULTS : clamp(most);
  }

  private dropChildren(onEnd: (ended: PendingCall) => void): void {
    for (const child of this.children) child.end(onEnd);
    this.children.clear();
  }
}

/** The result that a call's caller is given. */
export function resultOf(pending: PendingCall, { status, directive }: RunResponse): CallResult {
  const given = directive.case === 'exit' ? directive.value.result : undefined;
  const failed = status !== Status.OK && given?.error === undefined;
  return create(CallResultSchema, {
    dispatchId: pending.id,
    correlationId: pending.call.correlationId,
    output: given?.output,
    error: failed
      ? {
          type: errorClassOfStatus(status).prototype.name,
          message: `${pending.call.function} ended with ${Status[status]}`,
        }
      : given?.error,
  });
}

const emptyInput = (): Any => anyPack(EmptySchema, create(EmptySchema));

const clamp = (count: number): number => Math.min(Math.max(count, 1), MAX_RESULTS);
