import type { CallFilter, CallRow, DispatchId, Mutation, Store, Timestamp } from '../scheduler/index.js';
import type { SchedulerMetrics } from './scheduler.metrics.js';

/** Is told of what is recorded, at once: what takes long holds everything up. */
export interface CallObserver {
  /** Unfinished calls that were there at the start. */
  recovered(calls: readonly CallRow[]): void;
  committed(mutations: readonly Mutation[]): void;
}

/** A store that counts and times its commits. */
export class MeteredStore implements Store {
  readonly name: string;

  constructor(
    private readonly store: Store,
    private readonly metrics: SchedulerMetrics,
    private readonly observer?: CallObserver,
  ) {
    this.name = store.name;
  }

  async commit(mutations: readonly Mutation[]): Promise<void> {
    const start = performance.now();
    try {
      await this.store.commit(mutations);
    } catch (error) {
      this.metrics.commitFailed((performance.now() - start) / 1000);
      throw error;
    }
    this.metrics.committed(mutations, (performance.now() - start) / 1000);
    this.observer?.committed(mutations);
  }

  open() {
    return this.store.open();
  }

  async recover() {
    const recovery = await this.store.recover();
    this.observer?.recovered(recovery.calls);
    return recovery;
  }

  markRunning(started: readonly DispatchId[], ended: readonly DispatchId[]): void {
    this.store.markRunning(started, ended);
  }

  get(id: DispatchId) {
    return this.store.get(id);
  }

  list(filter: CallFilter, page: { readonly limit: number; readonly after?: string }) {
    return this.store.list(filter, page);
  }

  input(id: DispatchId) {
    return this.store.input(id);
  }

  journal(id: DispatchId) {
    return this.store.journal(id);
  }

  results(ids: readonly DispatchId[]) {
    return this.store.results(ids);
  }

  finishedBefore(time: Timestamp, limit: number) {
    return this.store.finishedBefore(time, limit);
  }

  close() {
    return this.store.close();
  }
}
