import type { DispatchId, SharedStore } from '../store.js';
import type { Core } from './core.js';

/** Who waits here for calls of other processes. */
export class Watches {
  private readonly watched = new Set<DispatchId>();
  /** Calls that the store has not been asked about yet: together at the end of the turn. */
  private readonly unasked = new Set<DispatchId>();
  private isRequested = false;

  constructor(
    private readonly core: Core,
    private readonly store: SharedStore,
  ) {}

  /** Waiters of these calls hear of their ends. */
  add(ids: Iterable<DispatchId>): void {
    for (const id of ids) {
      if (this.watched.has(id)) continue;
      this.watched.add(id);
      this.unasked.add(id);
    }
    this.request();
  }

  /** A call has ended, or may have. */
  ended(id: DispatchId): void {
    if (!this.watched.has(id)) return;
    this.unasked.add(id);
    this.request();
  }

  /** Looks at all: notifications can be lost. */
  async lookAtAll(): Promise<void> {
    await this.look([...this.watched]);
  }

  private request(): void {
    if (this.isRequested || this.unasked.size === 0) return;
    this.isRequested = true;
    this.core.clock.defer(() => {
      this.isRequested = false;
      const ids = [...this.unasked];
      this.unasked.clear();
      void this.look(ids);
    });
  }

  /** What cannot be read is looked at again with all others. */
  private async look(ids: readonly DispatchId[]): Promise<void> {
    const { store, core } = this;
    try {
      const awaited = ids.filter((id) => this.watched.has(id) && core.waits.isAwaited(id));
      const left = ids.filter((id) => this.watched.has(id) && !core.waits.isAwaited(id));
      // The watch comes first: a call may end between the two.
      if (awaited.length > 0) await store.watch(awaited);
      const ended = awaited.length > 0 ? await store.ends(awaited) : [];
      for (const { id, rootId, finished } of ended) core.waits.settle({ id, rootId, ...finished });
      await this.forget([...left, ...ended.map(({ id }) => id)]);
    } catch {
      return;
    }
  }

  private async forget(ids: readonly DispatchId[]): Promise<void> {
    if (ids.length === 0) return;
    for (const id of ids) this.watched.delete(id);
    await this.store.unwatch(ids);
  }
}
