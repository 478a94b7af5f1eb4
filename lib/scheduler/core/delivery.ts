import type { CallResult } from '../../gen/dispatch/sdk/v1/call_pb.js';
import { callResult } from '../../protocol/index.js';
import type { CallHeader, DispatchId, Recovery } from '../store.js';
import type { Core } from './core.js';
import { foreignResult } from './foreign.js';
import { resultBytes, resultSize } from './payloads.js';
import { Deque } from './deque.js';
import type { CallRecord, InboxItem } from './record.js';
import { failure } from './results.js';
import type { Run } from './run.js';
import { MAX_RESULTS } from './validation.js';

/** Results that are read from the store at a time. */
const LOAD_AT_ONCE = 64;

type Taken =
  | { readonly results: CallResult[]; readonly lastPlace: number }
  /** These have to be read from the store first. */
  | { readonly missing: readonly DispatchId[] };

type Child = Pick<CallHeader, 'id' | 'correlationId' | 'parentIncarnation'>;

/** How a child has ended, and the place of that in the parent's inbox. */
interface ChildResult {
  readonly inbox: number;
  readonly result: CallResult | undefined;
  readonly failed: boolean;
}

/** Brings committed results to the inboxes of parents, and from there into their resumes. */
export class Delivery {
  constructor(private readonly core: Core) {}

  /** Puts the committed result of a child into its parent's inbox. A result that is left out is read when it is needed. */
  add(parent: CallRecord, child: Child, { inbox, result, failed }: ChildResult): void {
    const bytes = result === undefined ? 0 : resultBytes(result);
    const held = result !== undefined && this.core.payloads.hold(bytes);
    if (failed) parent.failedPlace = inbox;
    const { parentIncarnation, id, correlationId } = child;
    this.push(parent, parentIncarnation, inbox, id, correlationId, held ? result : undefined, held ? bytes : 0);
  }

  /** The same for a child that finished in an earlier process. */
  restore(parent: CallRecord, item: Recovery['undelivered'][number]): void {
    this.push(parent, parent.progress.incarnation, item.inbox, item.id, item.correlationId, undefined, 0);
    parent.inboxEnd = Math.max(parent.inboxEnd, item.inbox);
    // It may be a failure: only the store knows, and an early resume does no harm.
    parent.failedPlace = parent.inboxEnd;
  }

  private push(
    parent: CallRecord,
    incarnation: number,
    place: number,
    id: DispatchId,
    correlationId: bigint,
    result: CallResult | undefined,
    bytes: number,
  ): void {
    if (parent.inboxIncarnation !== incarnation) this.drop(parent, parent.undelivered);
    parent.inboxIncarnation = incarnation;
    parent.inbox ??= new Deque<InboxItem>();
    parent.inbox.push({ place, id, correlationId, result, bytes });
  }

  /** Lets go of the results that the committed progress of the call says are taken in. */
  trim(record: CallRecord): void {
    if (record.inbox === undefined) return;
    const outdated = record.inboxIncarnation !== record.progress.incarnation;
    this.drop(record, outdated ? record.undelivered : countTakenIn(record));
    if (record.inbox.size === 0) record.inbox = undefined;
  }

  /** Lets go of all results of a call that has ended. */
  discard(record: CallRecord): void {
    this.drop(record, record.undelivered);
    record.inbox = undefined;
  }

  /**
   * The results for a resume: in order of completion, as many as the poll asked for and as fit into that many bytes.
   * Which these are is noted in the run, so that its answer can take them in.
   */
  take(run: Run, bytes: number): CallResult[] | Promise<CallResult[]> {
    const taken = this.select(run, bytes, undefined);
    return 'missing' in taken ? this.load(run, bytes, taken.missing) : accept(run, taken);
  }

  private async load(run: Run, bytes: number, first: readonly DispatchId[]): Promise<CallResult[]> {
    const loaded = new Map<DispatchId, CallResult>();
    for (let missing = first; ;) {
      const results = await this.core.store.results(missing);
      missing.forEach((id, index) => loaded.set(id, results[index] ?? lostResult(run, id)));
      const taken = this.select(run, bytes, loaded);
      if (!('missing' in taken)) return accept(run, taken);
      missing = taken.missing;
    }
  }

  private select(run: Run, bytes: number, loaded: ReadonlyMap<DispatchId, CallResult> | undefined): Taken {
    const { record } = run;
    const results: CallResult[] = [];
    let lastPlace = record.progress.delivered;
    let room = bytes;
    const limit = Math.min(record.undelivered, record.progress.maxResults || MAX_RESULTS);
    for (let index = 0; index < limit; index++) {
      const item = record.inbox?.at(index);
      if (item === undefined) break;
      const stored = item.result ?? loaded?.get(item.id);
      if (stored === undefined) return { missing: this.missingFrom(record, index, limit, loaded) };
      let result = withCorrelation(run.extended || this.core.transport.adapts ? stored : foreignResult(stored), item);
      let size = resultSize(result);
      if (size > bytes) {
        result = tooLarge(item, size);
        size = resultSize(result);
      }
      if (size > room && results.length > 0) break;
      room -= size;
      results.push(result);
      lastPlace = item.place;
    }
    return { results, lastPlace };
  }

  private missingFrom(
    record: CallRecord,
    from: number,
    to: number,
    loaded: ReadonlyMap<DispatchId, CallResult> | undefined,
  ): DispatchId[] {
    const missing: DispatchId[] = [];
    for (let index = from; index < to && missing.length < LOAD_AT_ONCE; index++) {
      const item = record.inbox?.at(index);
      if (item && item.result === undefined && !loaded?.has(item.id)) missing.push(item.id);
    }
    return missing;
  }

  private drop(record: CallRecord, count: number): void {
    for (let index = 0; index < count; index++) {
      const bytes = record.inbox?.at(index)?.bytes ?? 0;
      if (bytes > 0) this.core.payloads.release(bytes);
    }
    record.inbox?.drop(count);
  }
}

/** Results at the head of the inbox that the call's progress, committed or not, says are taken in. */
export function countTakenIn(record: CallRecord, delivered = record.progress.delivered): number {
  let count = 0;
  for (let item = record.inbox?.at(0); item && item.place <= delivered; item = record.inbox?.at(count)) count += 1;
  return count;
}

function accept(run: Run, taken: { readonly results: CallResult[]; readonly lastPlace: number }): CallResult[] {
  run.lastPlace = taken.lastPlace;
  return taken.results;
}

function withCorrelation(result: CallResult, item: InboxItem): CallResult {
  if (result.correlationId === item.correlationId) return result;
  return callResult(item.id, item.correlationId, result.output, result.error);
}

function tooLarge(item: InboxItem, size: number): CallResult {
  const reason = `the result of ${item.id} takes ${size} bytes, more than fit into a request: return less, or a reference`;
  return callResult(item.id, item.correlationId, undefined, failure('InvalidResponseError', reason));
}

function lostResult(run: Run, id: DispatchId): CallResult {
  const reason = `the store has no result of ${id}, a finished child of ${run.record.id}`;
  return callResult(id, 0n, undefined, failure('InvalidResponseError', reason));
}
