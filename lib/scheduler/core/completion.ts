import type { Any } from '@bufbuild/protobuf/wkt';
import { CancelledError, Status, TimeoutError } from '../../errors/index.js';
import type { Error as WireError } from '../../gen/dispatch/sdk/v1/error_pb.js';
import { callResult } from '../../protocol/index.js';
import { UNPLACED, type FinishedCall } from '../store.js';
import type { Core } from './core.js';
import { errorForCaller } from './foreign.js';
import type { CallRecord } from './record.js';
import { failure } from './results.js';

/** Ends calls, and tells who waits for them once the end is committed. */
export class Completion {
  constructor(private readonly core: Core) {}

  complete(
    record: CallRecord,
    state: FinishedCall['state'],
    status: Status,
    output: Any | undefined,
    error: WireError | undefined,
  ): void {
    if (record.finished || record.leaving) return;
    const { core } = this;
    if (record.run) core.runs.end(record.run);
    core.admission.withdraw(record);
    core.timers.clear(record);
    core.commits.finish(record, {
      state,
      status,
      result: callResult(record.id, record.header.correlationId, output, error && errorForCaller(core, record, error)),
      finishedAt: core.clock.now(),
      inbox: this.placeFor(record),
    });
    core.cancellation.cancelChildren(record);
  }

  /** The call failed for good; one that was cancelled is `cancelled` whatever it failed with. */
  fail(record: CallRecord, status: Status, error: WireError, output?: Any): void {
    if (record.isCancelling) return this.cancel(record);
    this.complete(record, 'failed', status, output, error);
    if (record.header.parentId === '') {
      this.core.log.warn(
        `call ${record.id} of ${record.fn.name} failed: ${Status[status]}, ${error.type}: ${error.message}`,
      );
    }
  }

  /** Ends the call as cancelled, whatever it is doing. */
  cancel(record: CallRecord): void {
    const message = `the call of ${record.fn.name} was cancelled`;
    record.run?.abort(new CancelledError(message));
    this.complete(record, 'cancelled', Status.PERMANENT_ERROR, undefined, failure('Cancelled', message));
  }

  expire(record: CallRecord): void {
    const { createdAt, expiresAt } = record.header;
    const message = `expired: the call of ${record.fn.name} did not finish within its expiration of ${(expiresAt ?? 0) - createdAt} ms`;
    record.run?.abort(new TimeoutError(message));
    this.fail(record, Status.TIMEOUT, failure('TimeoutError', message));
  }

  /** The end of the call is committed. */
  reveal(record: CallRecord): void {
    const { core } = this;
    const { finished, header, parent } = record;
    if (!finished) return;
    core.records.delete(header.id);
    core.keys.release(record);
    core.functions.release(record.fn);
    core.payloads.takeInput(record);
    core.delivery.discard(record);
    for (const child of record.children ?? []) child.parent = undefined;
    record.children = undefined;
    record.branches = undefined;
    core.intake.noteLeft(header.id);
    const { state, status, result } = finished;
    if (header.parentId === '' || core.waits.isAwaited(header.id))
      core.waits.settle({ id: header.id, rootId: header.rootId, state, status, result });
    if (parent) this.tellParent(parent, record, finished);
  }

  private tellParent(parent: CallRecord, record: CallRecord, finished: FinishedCall): void {
    const { core } = this;
    record.parent = undefined;
    parent.children?.delete(record);
    if (parent.children?.size === 0) parent.children = undefined;
    if (record.header.parentIncarnation === parent.progress.incarnation) parent.outstanding -= 1;
    // Even when the parent has ended or begun again meanwhile: that is not committed yet, and may be lost.
    if (finished.inbox === 0) return;
    const { inbox, result } = finished;
    core.delivery.add(parent, record.header, { inbox, result, failed: result.error !== undefined });
    core.readiness.evaluate(parent);
  }

  /** The result's place in the parent's inbox; 0 where the parent is past caring for it. */
  private placeFor({ parent, header }: CallRecord): number {
    if (!parent && header.branchId === header.id) return UNPLACED;
    if (!parent || parent.finished || header.parentIncarnation !== parent.progress.incarnation) return 0;
    parent.inboxEnd += 1;
    return parent.inboxEnd;
  }
}
