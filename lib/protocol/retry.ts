import { isRetryable, type Status } from '../errors/index.js';

/** When a failed attempt is made again: after a random time up to `initial * multiplier ** failures`, at most `max`. */
export interface RetryPolicy {
  /**
   * Attempts in all, the first included; of a function: since its last committed suspension. Default: no limit but the
   * call's expiration.
   */
  readonly maxAttempts?: number;
  /** Milliseconds. Default 100. */
  readonly initial?: number;
  /** Milliseconds. Default 60,000. */
  readonly max?: number;
  /** Default 2. */
  readonly multiplier?: number;
  /**
   * With which statuses a failed attempt is made again; all others are final. Default: those that may pass (TIMEOUT,
   * THROTTLED, TEMPORARY_ERROR, and those of connections).
   */
  readonly retryOn?: readonly Status[];
}

/** Whether a failure with that status is tried again. */
export function isRetried(status: Status, policy: RetryPolicy, fallback: RetryPolicy = {}): boolean {
  return (policy.retryOn ?? fallback.retryOn)?.includes(status) ?? isRetryable(status);
}

/**
 * How long to wait after that many failures in a row, in milliseconds: exponential with full jitter, which spreads a crowd
 * of retries best (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @param random gives 0 ≤ x < 1
 */
export function backoff(
  failures: number,
  random: () => number,
  policy: RetryPolicy,
  fallback: RetryPolicy = {},
): number {
  const initial = policy.initial ?? fallback.initial ?? 100;
  const max = policy.max ?? fallback.max ?? 60_000;
  const multiplier = policy.multiplier ?? fallback.multiplier ?? 2;
  return random() * Math.min(max, initial * multiplier ** (failures - 1));
}
