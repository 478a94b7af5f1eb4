import { backoff, isRetried, type Clock, type RetryPolicy } from '../protocol/index.js';
import { statusOf } from '../errors/index.js';
import { outsideOfRuns, withScope } from './context.js';
import type { CurrentCall } from './types.js';

/**
 * Runs a step's code until it succeeds or fails for good: failures that pass are tried again by the function's policy.
 * Decorated methods that it calls are plain methods: a step is local code.
 */
export async function runStep(
  code: () => unknown,
  { retry, current, clock, random }: { retry: RetryPolicy; current: CurrentCall; clock: Clock; random: () => number },
): Promise<unknown> {
  const { maxAttempts = Infinity } = retry;
  const scope = { run: undefined, current, onLate: (): void => {} };
  for (let attempt = 1; ; attempt++) {
    try {
      return await withScope(scope, code);
    } catch (error) {
      if (!isRetried(statusOf(error), retry) || attempt >= maxAttempts || current.signal.aborted) throw error;
    }
    const delay = backoff(attempt, random, retry);
    await outsideOfRuns(() => pause(delay, clock, current.signal));
  }
}

/** Ends early when the run is over: a timer must not keep the process alive then. */
function pause(delay: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const alarm = clock.at(clock.now() + delay, resolve);
    const onAbort = (): void => {
      alarm.cancel();
      resolve();
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
