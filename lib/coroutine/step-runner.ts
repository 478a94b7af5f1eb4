import type { Clock } from '../protocol/index.js';
import { isRetryable, statusOf, type Status } from '../errors/index.js';
import { outsideOfRuns, withScope } from './context.js';
import type { CurrentCall, RetryPolicy } from './types.js';

/**
 * Runs a step's code until it succeeds or fails for good: failures that pass are tried again by the function's policy.
 * Decorated methods that it calls are plain methods: a step is local code.
 */
export async function runStep(
  code: () => unknown,
  { retry, current, clock, random }: { retry: RetryPolicy; current: CurrentCall; clock: Clock; random: () => number },
): Promise<unknown> {
  const { maxAttempts = Infinity, initial = 100, max = 60_000, multiplier = 2, retryOn } = retry;
  const isRetried = (status: Status): boolean => retryOn?.includes(status) ?? isRetryable(status);
  const scope = { run: undefined, current, onLate: (): void => {} };
  for (let attempt = 1; ; attempt++) {
    try {
      return await withScope(scope, code);
    } catch (error) {
      if (!isRetried(statusOf(error)) || attempt >= maxAttempts || current.signal.aborted) throw error;
    }
    const delay = random() * Math.min(max, initial * multiplier ** (attempt - 1));
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
