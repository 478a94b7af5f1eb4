import { durationMs } from '@bufbuild/protobuf/wkt';
import type { Call } from '../../gen/dispatch/sdk/v1/call_pb.js';
import type { CallHeader, DispatchId, Timestamp } from '../store.js';
import type { Core } from './core.js';
import { childId } from './ids.js';
import { isNative } from './native-waits.js';
import { freshProgress } from './progress.js';
import { CallRecord } from './record.js';
import type { Run } from './run.js';
import { invalidChild } from './validation.js';

/** Calls that a function makes for the first time, by the ids they will have. */
export type NewChildren = ReadonlyMap<DispatchId, Call>;

/** Lookups in the store at a time. */
const LOOK_UP_AT_ONCE = 64;

/** Makes the calls of functions. */
export class Children {
  constructor(private readonly core: Core) {}

  problemOf(calls: readonly Call[]): string | undefined {
    for (const call of calls) {
      const problem = invalidChild(this.core, call);
      if (problem !== undefined) return `call ${call.correlationId} of '${call.function}' is invalid: ${problem}`;
    }
    return undefined;
  }

  /**
   * Finds out which calls are new. A number above all that the call's incarnation has used is; others may have been made
   * by an earlier run, and be long finished, so that only the store knows them.
   */
  identify(parent: CallRecord, calls: readonly Call[]): NewChildren | Promise<NewChildren> {
    const made = new Map<DispatchId, Call>();
    const doubtful: DispatchId[] = [];
    const { header, progress, highestCorrelation } = parent;
    for (const call of calls) {
      const id = childId(header.rootId, header.id, progress.incarnation, call.correlationId);
      if (this.core.records.has(id) || parent.branches?.has(id) || made.has(id)) continue;
      made.set(id, call);
      if (highestCorrelation === undefined || call.correlationId <= highestCorrelation) doubtful.push(id);
    }
    return doubtful.length === 0 ? made : this.withoutKnown(made, doubtful);
  }

  create(run: Run, children: NewChildren): void {
    if (children.size === 0) return;
    const { record: parent } = run;
    const now = this.core.clock.now();
    const progress = freshProgress(now, 1);
    let highest = parent.highestCorrelation;
    const early: CallRecord[] = [];
    for (const [id, call] of children) {
      const header = this.headerOf(parent, id, call, now);
      if (highest !== undefined && call.correlationId > highest) highest = call.correlationId;
      const target = { endpoint: call.endpoint || parent.fn.endpoint, function: call.function, version: call.version };
      if (this.core.fleet?.branchesOff(target)) {
        this.core.fleet.branches.make(parent, header, { ...target, input: call.input }, progress);
        continue;
      }
      const fn = this.core.functions.entry(target.endpoint, target.function);
      const child = new CallRecord(header, fn, call.version, progress);
      child.parent = parent;
      this.core.add(child);
      this.core.payloads.holdInput(child, call.input);
      this.core.commits.create(child, call.input);
      parent.children ??= new Set();
      parent.children.add(child);
      parent.outstanding += 1;
      if (this.mayStartEarly(run, child)) {
        child.speculative = true;
        early.push(child);
      }
    }
    parent.highestCorrelation = highest;
    // Only now: one whose time is up may end the parent, and that cancels all of them.
    for (const child of early) this.core.readiness.evaluate(child);
  }

  private async withoutKnown(made: Map<DispatchId, Call>, doubtful: readonly DispatchId[]): Promise<NewChildren> {
    for (let start = 0; start < doubtful.length; start += LOOK_UP_AT_ONCE) {
      const ids = doubtful.slice(start, start + LOOK_UP_AT_ONCE);
      const rows = await Promise.all(ids.map((id) => this.core.store.get(id)));
      ids.forEach((id, index) => {
        if (rows[index] !== undefined) made.delete(id);
      });
    }
    return made;
  }

  private headerOf(parent: CallRecord, id: DispatchId, call: Call, now: Timestamp): CallHeader {
    return {
      id,
      parentId: parent.header.id,
      rootId: parent.header.rootId,
      correlationId: call.correlationId,
      parentIncarnation: parent.progress.incarnation,
      createdAt: now,
      expiresAt: this.expiryOf(parent, call, now),
      // What an urgent call waits for is as urgent; its key is its own.
      priority: parent.header.priority,
      key: '',
      branchId: parent.header.branchId,
    };
  }

  /** A call has no more time than the one that made it, unless that cleans up, for which it has a time of its own. */
  private expiryOf(parent: CallRecord, { expiration }: Call, now: Timestamp): Timestamp | undefined {
    const expiresAt = parent.isCancelling ? undefined : parent.header.expiresAt;
    if (expiration === undefined) return expiresAt;
    return Math.min(now + Math.max(0, durationMs(expiration)), expiresAt ?? Infinity);
  }

  /**
   * A child may run while the commit that creates it is being written, as nobody has heard of it: then its creation and
   * its result are often one commit. Other processes would not know what to do with a call that was never made.
   */
  private mayStartEarly(run: Run, child: CallRecord): boolean {
    return (
      run.extended &&
      child.input !== undefined &&
      child.fn.endpoint === run.fn.endpoint &&
      !isNative(child) &&
      !child.fn.policy(child.version)?.startAfterCommit &&
      !this.core.cutShort.has(child.id)
    );
  }
}
