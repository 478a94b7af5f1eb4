import type { CallRow, Mutation, Recovery, Store } from '../scheduler/index.js';
import type { SchedulerMetrics } from './scheduler.metrics.js';

/** Is told of what is recorded, at once: what takes long holds everything up. */
export interface CallObserver {
  /** Unfinished calls that were there at the start, or were claimed since. */
  recovered(calls: readonly CallRow[]): void;
  committed(mutations: readonly Mutation[]): void;
}

/** The store, whose commits are counted and timed; all else of it, of whatever kind it is, stays as it is. */
export function meteredStore(store: Store, metrics: SchedulerMetrics, observer?: CallObserver): Store {
  const seconds = (start: number): number => (performance.now() - start) / 1000;

  const commit = async (mutations: readonly Mutation[]): Promise<void> => {
    const start = performance.now();
    try {
      await store.commit(mutations);
    } catch (error) {
      metrics.commitFailed(seconds(start));
      throw error;
    }
    metrics.committed(mutations, seconds(start));
    observer?.committed(mutations);
  };

  const observed =
    (take: (...args: unknown[]) => Promise<Recovery>) =>
    async (...args: unknown[]): Promise<Recovery> => {
      const recovery = await take(...args);
      observer?.recovered(recovery.calls);
      return recovery;
    };

  return new Proxy(store, {
    get(target, key): unknown {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      if (key === 'commit') return commit;
      const method = value.bind(target) as (...args: unknown[]) => Promise<Recovery>;
      return key === 'recover' || key === 'claim' ? observed(method) : method;
    },
  });
}
