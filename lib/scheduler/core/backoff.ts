import type { Milliseconds, RetryPolicy } from './options.js';
import type { Random } from './random.js';

/**
 * How long to wait after that many failed runs in a row: exponential with full jitter, which spreads a crowd of retries
 * best (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 */
export function backoff(policy: RetryPolicy, fallback: RetryPolicy, failures: number, random: Random): Milliseconds {
  const initial = policy.initial ?? fallback.initial ?? 100;
  const max = policy.max ?? fallback.max ?? 60_000;
  const multiplier = policy.multiplier ?? fallback.multiplier ?? 2;
  return Math.round(random() * Math.min(max, initial * multiplier ** (failures - 1)));
}
