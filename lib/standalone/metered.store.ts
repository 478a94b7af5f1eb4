import type { CallFilter, DispatchId, Mutation, Store, Timestamp } from '../scheduler/index.js';
import type { SchedulerMetrics } from './scheduler.metrics.js';

/** A store that counts and times its commits. */
export class MeteredStore implements Store {
  readonly name: string;

  constructor(
    private readonly store: Store,
    private readonly metrics: SchedulerMetrics,
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
  }

  open() {
    return this.store.open();
  }

  recover() {
    return this.store.recover();
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
