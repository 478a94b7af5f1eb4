import type { BranchCall, CallHeader, CallProgress, CallTarget, EndedBranch, SharedStore } from '../store.js';
import type { Core } from './core.js';
import type { CallRecord } from './record.js';

/** Results that are asked for at a time. */
const TAKE_AT_ONCE = 1_000;

/** A child that begins a branch, while another process has it or may claim it. */
export class Branch {
  /** The place that its result is given in the parent's inbox, once that is being committed. */
  place: number | undefined = undefined;
  result: EndedBranch | undefined = undefined;

  constructor(
    readonly parent: CallRecord,
    readonly call: Omit<BranchCall, 'parentId'>,
  ) {}

  /** It is of the parent's current incarnation, which waits for its result. */
  get isOutstanding(): boolean {
    return this.call.parentIncarnation === this.parent.progress.incarnation;
  }
}

/**
 * The branches that calls of this process have elsewhere: other processes carry them out, and commit their ends. Their
 * results get their places in the parent's inbox here, so that one process decides the order.
 */
export class Branches {
  private looking: Promise<void> | undefined;
  private hasMore = false;

  constructor(
    private readonly core: Core,
    private readonly store: SharedStore,
  ) {}

  /** Makes a child for any process to claim. */
  make(parent: CallRecord, header: CallHeader, target: CallTarget, progress: CallProgress): void {
    const { id, correlationId, parentIncarnation } = header;
    const branch = new Branch(parent, { id, correlationId, parentIncarnation });
    this.keep(branch);
    this.core.commits.createBranch(branch, { ...header, branchId: id }, target, progress);
  }

  /** Children of a call that was claimed: those that are in other hands, and those that have been here before it. */
  restore(calls: readonly BranchCall[]): void {
    const { records } = this.core;
    for (const call of calls) {
      const parent = records.get(call.parentId);
      if (parent === undefined) continue;
      const child = records.get(call.id);
      if (child === undefined || child.finished !== undefined || child.leaving) this.keep(new Branch(parent, call));
      else if (child.parent === undefined) adoptChild(parent, child);
    }
  }

  /** Has those who have branches of the call cancel them. */
  cancel(record: CallRecord): void {
    for (const id of record.branches?.keys() ?? []) this.core.commits.cancelBranch(id);
  }

  /** The commits that would have made these branches, or taken in their results, have failed. */
  takeBack(made: readonly Branch[], placed: readonly Branch[]): void {
    for (const { parent, call } of made) parent.branches?.delete(call.id);
    for (const branch of placed) branch.place = undefined;
  }

  /** The place of a result is committed. */
  reveal(branch: Branch): void {
    const { parent, call, place, result } = branch;
    if (parent.branches?.get(call.id) !== branch || place === undefined) return;
    parent.branches.delete(call.id);
    if (parent.branches.size === 0) parent.branches = undefined;
    if (branch.isOutstanding) parent.outstanding -= 1;
    if (place === 0 || result === undefined) return;
    const failed = result.state !== 'succeeded' || result.result?.error !== undefined;
    this.core.delivery.add(parent, call, { inbox: place, result: result.result, failed });
    this.core.readiness.evaluate(parent);
  }

  /** Takes in the results of branches that have ended. */
  look(): Promise<void> {
    this.hasMore = true;
    this.looking ??= this.takeIn().finally(() => (this.looking = undefined));
    return this.looking;
  }

  /** Resolves when nothing is being taken in. */
  async rest(): Promise<void> {
    await this.looking;
  }

  /** What cannot be read or written now is found again by the next look. */
  private async takeIn(): Promise<void> {
    const { core } = this;
    try {
      while (this.hasMore && core.active) {
        this.hasMore = false;
        const ended = await this.store.endedBranches(TAKE_AT_ONCE);
        if (!core.active || ended.filter((result) => this.place(result)).length === 0) continue;
        this.hasMore ||= ended.length === TAKE_AT_ONCE;
        await core.commits.durable();
      }
    } catch {
      return;
    }
  }

  /** False where there is nothing to do: it was placed meanwhile, or its parent is not here. */
  private place(result: EndedBranch): boolean {
    const { records, commits } = this.core;
    const parent = records.get(result.parentId);
    const branch = parent?.branches?.get(result.id);
    if (parent === undefined || parent.finished || parent.leaving || branch === undefined || branch.place !== undefined)
      return false;
    branch.place = 0;
    if (branch.isOutstanding) {
      parent.inboxEnd += 1;
      branch.place = parent.inboxEnd;
    }
    branch.result = result;
    commits.placeBranch(branch, branch.place);
    return true;
  }

  private keep(branch: Branch): void {
    const { parent, call } = branch;
    parent.branches ??= new Map();
    parent.branches.set(call.id, branch);
    if (branch.isOutstanding) parent.outstanding += 1;
  }
}

/** Links a call that is here with its parent, which came here later, or before it. */
export function adoptChild(parent: CallRecord, child: CallRecord): void {
  child.parent = parent;
  parent.children ??= new Set();
  parent.children.add(child);
  const wasElsewhere = parent.branches?.delete(child.id) ?? false;
  if (!wasElsewhere && child.header.parentIncarnation === parent.progress.incarnation) parent.outstanding += 1;
}
