import { fromBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import type { Any } from '@bufbuild/protobuf/wkt';
import { crc32 } from 'node:zlib';
import { CallResultSchema } from '../../gen/dispatch/sdk/v1/call_pb.js';
import type { CallResult } from '../../gen/dispatch/sdk/v1/call_pb.js';
import { EMPTY_JOURNAL } from '../../protocol/index.js';
import type { JournalPosition } from '../../protocol/index.js';
import { isFinished, StoreError } from '../store.js';
import type {
  CallFilter,
  CallPage,
  CallProgress,
  CallRow,
  CallTarget,
  DispatchId,
  Mutation,
  Recovery,
  Store,
  Timestamp,
} from '../store.js';
import { matches } from './call.filter.js';
import { encodeAny, encodeResult } from '../../protocol/index.js';
import {
  refuseAppendToTyped,
  refuseExisting,
  refuseFinished,
  refuseFinishedProgress,
  refusePosition,
  refuseUnfinishedPurge,
  refuseUnknown,
} from './refusals.js';

export interface MemoryStoreOptions {
  /** Is called before each commit is applied; when it throws, the commit rejects with that and nothing of it is there. */
  readonly beforeCommit?: (mutations: readonly Mutation[]) => void | Promise<void>;
}

/** A call as the store keeps it. Never changed in place, so that a commit that fails half way leaves no trace. */
interface Entry {
  readonly seq: number;
  readonly row: CallRow;
  readonly input: Uint8Array | undefined;
  readonly result: Uint8Array | undefined;
  readonly journal: Chunk | undefined;
}

/** The journal's last bytes, and what came before them. */
interface Chunk {
  readonly previous: Chunk | undefined;
  readonly bytes: Uint8Array;
}

/**
 * Keeps calls in this object, for tests and simulations. What was committed outlives `close` and `crash`, so that
 * opening the same object again is a restart. Messages are kept as bytes: nobody can change what is stored.
 */
export class MemoryStore implements Store {
  readonly name = 'memory:';

  private readonly entries = new Map<DispatchId, Entry>();
  private readonly running = new Set<DispatchId>();
  /** Calls that were marked when the store was opened. */
  private inFlight: readonly DispatchId[] = [];
  /** Those of them that nothing was written about since. */
  private recovered = new Set<DispatchId>();
  private nextSeq = 1;
  /** Grows with each `open` and `crash`: a commit that was queued before does not apply after. */
  private generation = 0;
  private isOpen = false;
  private lastCommit: Promise<void> = Promise.resolve();

  constructor(private readonly options: MemoryStoreOptions = {}) {}

  async open(): Promise<void> {
    if (this.isOpen)
      throw new StoreError('memory: is open already. Open a store once, and close it before opening it again.');
    this.isOpen = true;
    this.generation += 1;
    this.inFlight = [...this.running];
    this.recovered = new Set(this.running);
  }

  async close(): Promise<void> {
    await this.lastCommit;
    this.isOpen = false;
    this.running.clear();
    this.recovered.clear();
  }

  /** Ends as a killed process does: commits that were not applied are gone, the marks of running calls stay. */
  crash(): void {
    this.isOpen = false;
    this.generation += 1;
    this.lastCommit = Promise.resolve();
  }

  async recover(): Promise<Recovery> {
    const entries = await this.all();
    const unfinished = entries.filter((entry) => entry.row.finished === undefined);
    const undelivered = entries
      .filter((entry) => this.isUndelivered(entry.row))
      .sort(
        (a, b) =>
          this.seqOf(a.row.header.parentId) - this.seqOf(b.row.header.parentId) || inboxOf(a.row) - inboxOf(b.row),
      );
    return {
      calls: unfinished.map((entry) => entry.row),
      undelivered: undelivered.map(({ row }) => ({
        id: row.header.id,
        parentId: row.header.parentId,
        correlationId: row.header.correlationId,
        inbox: inboxOf(row),
      })),
      inFlight: [...this.inFlight],
    };
  }

  commit(mutations: readonly Mutation[]): Promise<void> {
    const { generation } = this;
    const commit = this.lastCommit.then(async () => {
      this.requireOpen(generation);
      await this.options.beforeCommit?.(mutations);
      this.requireOpen(generation);
      this.apply(mutations);
    });
    this.lastCommit = commit.catch(() => undefined);
    return commit;
  }

  markRunning(started: readonly DispatchId[], ended: readonly DispatchId[]): void {
    this.requireOpen();
    for (const id of ended) this.unmark(id);
    for (const id of started) {
      this.recovered.delete(id);
      this.running.add(id);
    }
  }

  async get(id: DispatchId): Promise<CallRow | undefined> {
    return (await this.entry(id))?.row;
  }

  async list(filter: CallFilter, page: { readonly limit: number; readonly after?: string }): Promise<CallPage> {
    const before = page.after === undefined ? Infinity : Number(page.after);
    const found = (await this.all()).filter((entry) => entry.seq < before && matches(entry.row, filter)).reverse();
    const entries = found.slice(0, page.limit);
    const last = entries.at(-1);
    return {
      rows: entries.map((entry) => entry.row),
      next: last && found.length > entries.length ? String(last.seq) : undefined,
    };
  }

  async input(id: DispatchId): Promise<Any | undefined> {
    const input = (await this.entry(id))?.input;
    return input && fromBinary(AnySchema, input);
  }

  async journal(id: DispatchId): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for (let chunk = (await this.entry(id))?.journal; chunk; chunk = chunk.previous) chunks.push(chunk.bytes);
    return new Uint8Array(Buffer.concat(chunks.reverse()));
  }

  async results(ids: readonly DispatchId[]): Promise<(CallResult | undefined)[]> {
    const entries = await Promise.all(ids.map((id) => this.entry(id)));
    return entries.map((entry) => entry?.result && fromBinary(CallResultSchema, entry.result));
  }

  async finishedBefore(time: Timestamp, limit: number): Promise<DispatchId[]> {
    const trees = new Map<DispatchId, CallRow[]>();
    for (const { row } of await this.all()) {
      const tree = trees.get(row.header.rootId);
      if (tree) tree.push(row);
      else trees.set(row.header.rootId, [row]);
    }
    const roots = [...trees.keys()]
      .flatMap((id) => this.entries.get(id)?.row ?? [])
      .filter((root) => finishedAt(root) < time && trees.get(root.header.id)?.every((row) => row.finished))
      .sort((a, b) => finishedAt(a) - finishedAt(b));
    // The root comes last, so that what a slice leaves of a large tree is found again.
    const ids = roots.flatMap((root) =>
      [...(trees.get(root.header.id) ?? []).filter((row) => row !== root), root].map((row) => row.header.id),
    );
    return ids.slice(0, limit);
  }

  private apply(mutations: readonly Mutation[]): void {
    const staged = new Map<DispatchId, Entry | undefined>();
    let seq = this.nextSeq;
    const find = (id: DispatchId) => (staged.has(id) ? staged.get(id) : this.entries.get(id));
    for (const mutation of mutations) {
      switch (mutation.type) {
        case 'create':
          if (find(mutation.header.id)) throw refuseExisting(this.name, mutation.header.id);
          if (isFinished(mutation.progress.state)) throw refuseFinishedProgress(this.name, mutation.header.id);
          staged.set(mutation.header.id, created(mutation, seq++));
          break;
        case 'purge':
          for (const id of mutation.ids) {
            if (find(id)?.row.finished === undefined && find(id)) throw refuseUnfinishedPurge(this.name, id);
            staged.set(id, undefined);
          }
          break;
        default: {
          const entry = find(mutation.id);
          if (!entry) throw refuseUnknown(this.name, mutation.type, mutation.id);
          staged.set(mutation.id, this.changed(entry, mutation));
        }
      }
    }
    this.nextSeq = seq;
    for (const [id, entry] of staged) this.put(id, entry);
  }

  private changed(entry: Entry, mutation: Exclude<Mutation, { type: 'create' | 'purge' }>): Entry {
    const { row } = entry;
    switch (mutation.type) {
      case 'progress':
        if (isFinished(mutation.progress.state)) throw refuseFinishedProgress(this.name, mutation.id);
        return {
          ...entry,
          row: { ...row, progress: { ...mutation.progress }, finished: undefined },
          result: undefined,
        };
      case 'replace': {
        if (isFinished(mutation.progress.state)) throw refuseFinishedProgress(this.name, mutation.id);
        const target = mutation.target ? withoutInput(mutation.target) : row.target;
        const input = mutation.target ? encodeInput(mutation.target) : entry.input;
        return {
          seq: entry.seq,
          row: {
            ...withJournal(row, EMPTY_JOURNAL, undefined),
            target,
            progress: { ...mutation.progress },
            finished: undefined,
          },
          input,
          result: undefined,
          journal: undefined,
        };
      }
      case 'append': {
        if (row.finished) throw refuseFinished(this.name, mutation.type, mutation.id);
        if (row.foreignState === 'typed') throw refuseAppendToTyped(this.name, mutation.id);
        const end = row.position.bytes + mutation.journal.length;
        if (mutation.position.bytes !== end) throw refusePosition(this.name, mutation.id, mutation.position.bytes, end);
        const journal = { previous: entry.journal, bytes: mutation.journal.slice() };
        return { ...entry, row: withJournal(row, mutation.position, undefined), journal };
      }
      case 'state': {
        if (row.finished) throw refuseFinished(this.name, mutation.type, mutation.id);
        const bytes = mutation.state.slice();
        const position = { bytes: bytes.length, digest: crc32(bytes) };
        return {
          ...entry,
          row: withJournal(row, position, mutation.typed ? 'typed' : 'bytes'),
          journal: { previous: undefined, bytes },
        };
      }
      case 'finish': {
        if (row.finished) throw refuseFinished(this.name, mutation.type, mutation.id);
        const { result, ...finished } = mutation.finished;
        const progress: CallProgress = { ...row.progress, state: finished.state };
        return {
          ...entry,
          row: { ...withJournal(row, EMPTY_JOURNAL, undefined), progress, finished },
          result: encodeResult(result),
          journal: undefined,
        };
      }
    }
  }

  private put(id: DispatchId, entry: Entry | undefined): void {
    if (this.recovered.has(id)) this.unmark(id);
    // A call that was purged and created again in one commit takes its place at the end.
    if (entry?.seq !== this.entries.get(id)?.seq) this.entries.delete(id);
    if (entry) this.entries.set(id, entry);
  }

  private unmark(id: DispatchId): void {
    this.recovered.delete(id);
    this.running.delete(id);
  }

  private isUndelivered(row: CallRow): boolean {
    const parent = this.entries.get(row.header.parentId)?.row;
    return (
      parent !== undefined &&
      parent.finished === undefined &&
      inboxOf(row) > parent.progress.delivered &&
      row.header.parentIncarnation === parent.progress.incarnation
    );
  }

  private seqOf(id: DispatchId): number {
    return this.entries.get(id)?.seq ?? 0;
  }

  private async entry(id: DispatchId): Promise<Entry | undefined> {
    this.requireOpen();
    return this.entries.get(id);
  }

  private async all(): Promise<Entry[]> {
    this.requireOpen();
    return [...this.entries.values()];
  }

  private requireOpen(generation = this.generation): void {
    if (!this.isOpen || generation !== this.generation) {
      throw new StoreError(
        'memory: is not open. Call open() before using it; after close() or a crash, open it again.',
      );
    }
  }
}

function created(mutation: Extract<Mutation, { type: 'create' }>, seq: number): Entry {
  const row: CallRow = {
    header: { ...mutation.header },
    target: withoutInput(mutation.target),
    progress: { ...mutation.progress },
    position: EMPTY_JOURNAL,
    foreignState: undefined,
    finished: undefined,
  };
  return { seq, row, input: encodeInput(mutation.target), result: undefined, journal: undefined };
}

function withJournal(row: CallRow, position: JournalPosition, foreignState: CallRow['foreignState']): CallRow {
  return { ...row, position: { ...position }, foreignState };
}

function withoutInput(target: CallTarget): CallRow['target'] {
  return { endpoint: target.endpoint, function: target.function, version: target.version };
}

function encodeInput(target: CallTarget): Uint8Array | undefined {
  return target.input && encodeAny(target.input);
}

function inboxOf(row: CallRow): number {
  return row.finished?.inbox ?? 0;
}

function finishedAt(row: CallRow): Timestamp {
  return row.finished?.finishedAt ?? Infinity;
}
