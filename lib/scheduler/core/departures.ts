import { CancelledError } from '../../errors/index.js';
import type { CallRow, DispatchId } from '../store.js';
import { Branch } from './branches.js';
import type { Core } from './core.js';
import type { CallRecord } from './record.js';
import type { Neighbours } from './neighbours.js';

/** A call that is given up to other processes, with all below it that is here. */
export interface Departure {
  readonly first: CallRecord;
  /** All of them, the first one as well. */
  readonly records: readonly CallRecord[];
  /** The call that their branch begins with; undefined: it is that of the root. */
  readonly branchId: DispatchId | undefined;
  /** What the parent of the first one knows it as from now on. Undefined: that is not here, or there is none. */
  readonly branch: Branch | undefined;
}

/**
 * Calls come here with the branches that they are in, whatever their functions. Those that cannot go on here, and can
 * elsewhere, are given up: each begins a branch of its own, for a process that has what it needs.
 */
export class Departures {
  constructor(
    private readonly core: Core,
    private readonly neighbours: Neighbours,
  ) {}

  /** Whether the function of the call is not here, or not in the version that has recorded its state while another process has that. */
  isAtHomeElsewhere(record: CallRecord): boolean {
    const { fn, code, position, isCancelling } = record;
    if (record.speculative) return false;
    if (!this.core.functions.runsHere(fn.endpoint, fn.name)) {
      // Nobody would end its time for cleaning up while it waits for a process.
      return !isCancelling || this.neighbours.has(fn.endpoint, fn.name);
    }
    if (code === undefined || position.bytes === 0 || fn.hasVersion(code)) return false;
    return this.neighbours.has(fn.endpoint, fn.name, code);
  }

  /** Whether a call whose time has come goes: to a process that has what it needs, or to those that wait for a key in the store. */
  mayGo(record: CallRecord): boolean {
    return this.isAtHomeElsewhere(record) || (this.core.keys.isCrowdedOut(record) && hasNotBegun(record));
  }

  /** Whether a call that was claimed may be one of these. */
  mayLeave({ target, code }: Pick<CallRow, 'target' | 'code'>): boolean {
    const { functions } = this.core;
    if (!functions.runsHere(target.endpoint, target.function)) return true;
    return code !== undefined && functions.find(target.endpoint, target.function)?.hasVersion(code) !== true;
  }

  /** Gives up a call: nothing is done about it here from now on. */
  release(first: CallRecord): void {
    const { core } = this;
    const records = withAllBelow(first);
    for (const record of records) {
      record.leaving = true;
      if (record.run) core.runs.abort(record.run, new CancelledError('the run was given up: another process makes it'));
      core.admission.withdraw(record);
      core.timers.clear(record);
    }
    const branchId = first.header.parentId === '' ? undefined : first.id;
    core.commits.release({ first, records, branchId, branch: this.branchOff(first) });
  }

  /** It is committed: the calls are in the hands of others. */
  reveal({ records }: Departure): void {
    const { core } = this;
    for (const record of records) {
      core.records.delete(record.id);
      core.keys.handOver(record);
      core.functions.release(record.fn);
      core.payloads.takeInput(record);
      core.delivery.discard(record);
      // The process may still hold an instance of it, which asks for a resume.
      record.warm = false;
      if (core.waits.isAwaited(record.id)) core.waits.watchElsewhere(record.id);
    }
  }

  /** The commits have failed. */
  takeBack(departures: readonly Departure[]): void {
    for (const { first, branch } of departures) {
      if (branch === undefined) continue;
      const { parent } = branch;
      parent.branches?.delete(first.id);
      parent.children ??= new Set();
      parent.children.add(first);
      first.parent = parent;
    }
  }

  /** The parent goes on waiting for it, as for a branch. */
  private branchOff(first: CallRecord): Branch | undefined {
    const { parent, header } = first;
    if (parent === undefined) return undefined;
    const branch = new Branch(parent, header);
    parent.children?.delete(first);
    if (parent.children?.size === 0) parent.children = undefined;
    first.parent = undefined;
    parent.branches ??= new Map();
    parent.branches.set(first.id, branch);
    return branch;
  }
}

/** Nothing of it would be lost or done twice elsewhere. */
export function hasNotBegun({ hasState, progress, isCancelling, speculative }: CallRecord): boolean {
  return !hasState && progress.attempt === 0 && progress.crashes === 0 && !isCancelling && !speculative;
}

/** Without those that have ended, whose ends are being committed. */
function withAllBelow(first: CallRecord): CallRecord[] {
  const records = [first];
  for (const record of records) {
    for (const child of record.children ?? []) if (child.finished === undefined) records.push(child);
  }
  return records;
}
