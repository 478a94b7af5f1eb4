import { currentScope } from './context.js';
import type { RuntimeLog } from './services.js';

const logs = new Set<RuntimeLog>();

/**
 * A branch of a durable function that nobody awaits may fail, for instance because a race was over: that must not end
 * the process, as a rejection without a handler otherwise does. Rejections of all other code keep their meaning.
 *
 * @returns undoes it
 */
export function watchAbandonedBranches(log: RuntimeLog): () => void {
  if (logs.size === 0) process.on('unhandledRejection', onUnhandledRejection);
  logs.add(log);
  return () => {
    if (logs.delete(log) && logs.size === 0) process.off('unhandledRejection', onUnhandledRejection);
  };
}

function onUnhandledRejection(reason: unknown): void {
  const scope = currentScope();
  if (scope !== undefined) {
    const name = scope.current?.function ?? 'a durable function';
    for (const log of logs) log.debug(`A branch of ${name} that nobody awaits failed: ${String(reason)}`);
    return;
  }
  // With a listener of the application's own, that one decides; without any, Node would have ended the process.
  if (process.listenerCount('unhandledRejection') === 1) throw reason;
}
