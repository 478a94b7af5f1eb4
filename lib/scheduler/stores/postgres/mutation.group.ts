import { crc32 } from 'node:zlib';
import { isFinished } from '../../store.js';
import type { DispatchId, Mutation } from '../../store.js';
import * as refusals from '../refusals.js';
import { Change } from './change.js';
import { JournalKind } from '../call.codes.js';

/** Bytes of payloads that are sent in one statement, about: an array of them is one text for the driver. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Mutations that can be written in any order, because what they do to one call is put together. */
export class MutationGroup {
  readonly changes = new Map<DispatchId, Change>();
  readonly purged = new Set<DispatchId>();
  private bytes = 0;

  constructor(private readonly store: string) {}

  /**
   * Takes a mutation in; false: it belongs into the next group.
   * @throws StoreError when it contradicts what the group has
   */
  take(mutation: Mutation): boolean {
    if (this.bytes > MAX_BYTES) return false;
    if (mutation.type === 'create') return this.create(mutation);
    if (mutation.type === 'purge') return this.purge(mutation.ids);
    const { id } = mutation;
    if (this.purged.has(id)) return false;
    let change = this.changes.get(id);
    if (change === undefined) this.changes.set(id, (change = new Change(id, undefined)));
    return this.apply(change, mutation);
  }

  private create(mutation: Extract<Mutation, { type: 'create' }>): boolean {
    const { id } = mutation.header;
    this.requireNoEnd(id, mutation.progress.state);
    if (this.changes.has(id)) throw refusals.refuseExisting(this.store, id);
    this.changes.set(id, new Change(id, mutation));
    this.bytes += mutation.target.input?.value.length ?? 0;
    return true;
  }

  private purge(ids: readonly DispatchId[]): boolean {
    if (this.changes.size > 0 && ids.some((id) => this.changes.has(id))) return false;
    for (const id of ids) this.purged.add(id);
    return true;
  }

  private apply(change: Change, mutation: Exclude<Mutation, { type: 'create' | 'purge' }>): boolean {
    switch (mutation.type) {
      case 'progress':
        this.requireNoEnd(change.id, mutation.progress.state);
        if (change.finished) return false;
        change.setProgress(mutation.progress);
        return true;
      case 'replace':
        this.requireNoEnd(change.id, mutation.progress.state);
        if (change.finished) return false;
        this.bytes += mutation.target?.input?.value.length ?? 0;
        change.replace(mutation);
        return true;
      case 'append':
        this.requireUnfinished(change, mutation.type);
        this.requireEnd(change, mutation);
        this.bytes += mutation.journal.length;
        change.append(mutation);
        return true;
      case 'state': {
        this.requireUnfinished(change, mutation.type);
        const { state } = mutation;
        this.bytes += state.length;
        change.setState({ bytes: state.length, digest: crc32(state) }, mutation);
        return true;
      }
      case 'finish':
        this.requireUnfinished(change, mutation.type);
        this.bytes += mutation.finished.result.output?.value.length ?? 0;
        change.finish(mutation);
        return true;
    }
  }

  private requireNoEnd(id: DispatchId, state: Parameters<typeof isFinished>[0]): void {
    if (isFinished(state)) throw refusals.refuseFinishedProgress(this.store, id);
  }

  private requireUnfinished(change: Change, type: Mutation['type']): void {
    if (change.finished) throw refusals.refuseFinished(this.store, type, change.id);
  }

  private requireEnd(change: Change, { journal, position }: Extract<Mutation, { type: 'append' }>): void {
    if (change.position === undefined) return;
    if (change.journalKind === JournalKind.TYPED) throw refusals.refuseAppendToTyped(this.store, change.id);
    const end = change.position.bytes + journal.length;
    if (position.bytes !== end) throw refusals.refusePosition(this.store, change.id, position.bytes, end);
  }
}

/** The mutations of a commit as groups, to be written one after the other. */
export function groupsOf(store: string, mutations: readonly Mutation[]): MutationGroup[] {
  let group = new MutationGroup(store);
  const groups = [group];
  for (const mutation of mutations) {
    if (group.take(mutation)) continue;
    groups.push((group = new MutationGroup(store)));
    group.take(mutation);
  }
  return groups;
}
