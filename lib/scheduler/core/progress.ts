import type { CallProgress, Timestamp } from '../store.js';

/** Where a call stands that has yet to begin. */
export function freshProgress(dueAt: Timestamp, incarnation: number): CallProgress {
  return {
    state: 'pending',
    dueAt,
    attempt: 0,
    crashes: 0,
    incarnation,
    delivered: 0,
    minResults: 0,
    maxResults: 0,
    wakeAt: undefined,
    cancelBy: undefined,
  };
}
