import type { DispatchId, SharedStore } from '../store.js';
import type { Core } from './core.js';

/** Who waits here for calls of other processes. */
export class Watches {
  private readonly watched = new Set<DispatchId>();
  /** Calls whose ends other processes have not been asked to tell. */
  private readonly untold = new Set<DispatchId>();
  /** Calls that the store has not been asked about yet. */
  private readonly unasked = new Set<DispatchId>();
  private isAsking = false;

  constructor(
    private readonly core: Core,
    private readonly store: SharedStore,
  ) {}

  /** Waiters of these calls hear of their ends, or that they are not there. */
  add(ids: Iterable<DispatchId>): void {
    for (const id of ids) {
      if (this.watched.has(id)) continue;
      this.watched.add(id);
      this.untold.add(id);
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

  /** Looks at all: notifications can be lost, and so can be what the store knows about who wants to have them. */
  lookAtAll(): void {
    for (const id of this.watched) {
      this.untold.add(id);
      this.unasked.add(id);
    }
    this.request();
  }

  /** One look at a time, at all that was asked for during the turn, or during the look before it. */
  private request(): void {
    if (this.isAsking || this.unasked.size === 0) return;
    this.isAsking = true;
    this.core.clock.defer(() => {
      const ids = [...this.unasked];
      this.unasked.clear();
      void this.look(ids).finally(() => {
        this.isAsking = false;
        this.request();
      });
    });
  }

  /** What cannot be read is looked at again with all others. */
  private async look(ids: readonly DispatchId[]): Promise<void> {
    const { store, core } = this;
    try {
      const awaited = ids.filter((id) => this.watched.has(id) && core.waits.isAwaited(id));
      const left = ids.filter((id) => this.watched.has(id) && !core.waits.isAwaited(id));
      // The watch comes first: a call may end between the two.
      await this.tell(awaited);
      const known = awaited.length > 0 ? await store.ends(awaited) : [];
      const unknown = new Set(awaited);
      const ended: DispatchId[] = [];
      for (const { id, rootId, finished } of known) {
        unknown.delete(id);
        if (finished === undefined) continue;
        core.waits.settle({ id, rootId, ...finished });
        ended.push(id);
      }
      for (const id of unknown) if (!core.records.has(id)) core.waits.forget(id);
      await this.forget([...left, ...ended, ...unknown]);
    } catch {
      return;
    }
  }

  private async tell(ids: readonly DispatchId[]): Promise<void> {
    const untold = ids.filter((id) => this.untold.has(id));
    if (untold.length === 0) return;
    await this.store.watch(untold);
    for (const id of untold) this.untold.delete(id);
  }

  private async forget(ids: readonly DispatchId[]): Promise<void> {
    if (ids.length === 0) return;
    for (const id of ids) {
      this.watched.delete(id);
      this.untold.delete(id);
    }
    await this.store.unwatch(ids);
  }
}
