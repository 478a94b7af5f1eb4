import { fromBinary } from '@bufbuild/protobuf';
import { StringValueSchema, type Any } from '@bufbuild/protobuf/wkt';
import { Status } from '../../errors/index.js';
import type { DispatchId } from '../store.js';
import type { CallOutcome } from './calls.js';
import type { Core } from './core.js';
import { namespaceOf } from './ids.js';
import type { CallRecord } from './record.js';
import { failure } from './results.js';

/** The endpoint of functions that the scheduler has itself. */
export const NATIVE_ENDPOINT = 'dispatch:';
/** Its one function: ends as the call ends whose id is its input (a StringValue). */
export const NATIVE_WAIT = 'wait';

export function isNative(record: CallRecord): boolean {
  return record.fn.endpoint === NATIVE_ENDPOINT;
}

/** Calls that wait for other calls, without any run. */
export class NativeWaits {
  /** Waits whose input or target is being read. */
  private looking = 0;

  constructor(private readonly core: Core) {}

  get isLooking(): boolean {
    return this.looking > 0;
  }

  begin(record: CallRecord): void {
    this.core.readiness.arm(record, this.core.clock.now());
    if (record.waiting) return;
    record.waiting = true;
    this.looking += 1;
    this.waitFor(record)
      .catch((error: unknown) => this.core.outage.lookUpFailed(record, error))
      .finally(() => {
        this.looking -= 1;
        this.core.requestTurn();
      });
  }

  private async waitFor(record: CallRecord): Promise<void> {
    const { core } = this;
    const held = core.payloads.takeInput(record);
    const input = held === undefined ? await core.store.input(record.id) : held;
    const id = idIn(input ?? undefined);
    if (core.isUnfinished(id)) return this.listen(record, id);
    const found = await core.waits.lookUp(id);
    if (typeof found === 'object') return this.settle(record, found);
    // It is another process's, or began again while the store was asked.
    if (found === 'elsewhere' || core.isUnfinished(id)) return this.listen(record, id);
    this.notFound(record, id);
  }

  private listen(record: CallRecord, id: string): void {
    const { waits, records, sleepers } = this.core;
    // Only roots sleep outside of memory.
    const root = sleepers.has(id) ? id : records.get(id)?.header.rootId;
    if (root !== undefined && !isVisible(record, root)) return this.notFound(record, id);
    waits.add(id, {
      settle: (outcome) => this.settle(record, outcome),
      fail: () => this.notFound(record, id),
    });
    waits.watchElsewhere(id);
  }

  private settle(record: CallRecord, { id, rootId, state, status, result }: CallOutcome): void {
    if (!isVisible(record, rootId)) return this.notFound(record, id);
    if (!this.goesOn(record)) return;
    this.core.completion.complete(record, state, status, result.output, result.error);
  }

  private notFound(record: CallRecord, id: string): void {
    if (!this.goesOn(record)) return;
    this.core.completion.fail(
      record,
      Status.NOT_FOUND,
      failure('NotFoundError', `there is no call '${id}' to wait for`),
    );
  }

  private goesOn(record: CallRecord): boolean {
    record.waiting = false;
    return (
      this.core.active &&
      record.finished === undefined &&
      !record.leaving &&
      this.core.records.get(record.id) === record
    );
  }
}

/** Results are for the functions of the namespace that they were made in. */
function isVisible(record: CallRecord, root: DispatchId): boolean {
  return namespaceOf(record.header.rootId) === namespaceOf(root);
}

/** The id that a wait is given; one that cannot be read is no call's. */
function idIn(input: Any | undefined): string {
  if (!input?.typeUrl.endsWith('/google.protobuf.StringValue')) return '';
  try {
    return fromBinary(StringValueSchema, input.value).value;
  } catch {
    return '';
  }
}
