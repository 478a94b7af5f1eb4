import type { CallFilter, CallRow } from '../store.js';

/** Whether a call is one that `list` shows. */
export function matches({ header, target, progress }: CallRow, filter: CallFilter): boolean {
  return (
    (filter.state === undefined || [filter.state].flat().includes(progress.state)) &&
    (filter.function === undefined || target.function === filter.function) &&
    (filter.rootId === undefined || header.rootId === filter.rootId) &&
    (filter.parentId === undefined || header.parentId === filter.parentId) &&
    (!filter.roots || header.parentId === '') &&
    (filter.createdAfter === undefined || header.createdAt > filter.createdAfter) &&
    (filter.createdBefore === undefined || header.createdAt < filter.createdBefore)
  );
}
