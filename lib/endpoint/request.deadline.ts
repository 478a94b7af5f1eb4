import { ConnectError } from './connect.js';

/** Longer than this `setTimeout` cannot wait; nor does anybody. */
const LONGEST = 2 ** 31 - 1;

/**
 * The time that a caller gives its request, in milliseconds; undefined when it sets none.
 *
 * @param header `Connect-Timeout-Ms`: at most ten digits
 * @throws ConnectError for anything else
 */
export function readTimeout(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (!/^\d{1,10}$/.test(header)) {
    throw new ConnectError('invalid_argument', 'Connect-Timeout-Ms is no number of milliseconds');
  }
  return Number(header);
}

/**
 * Does the work of a request within the caller's time. When that is over, the signal fires and the request is refused,
 * whether or not the work heeds it.
 *
 * @param timeout milliseconds; undefined: no limit
 * @param caller fires when the caller has gone away
 */
export async function withinTime<T>(
  timeout: number | undefined,
  caller: AbortSignal | undefined,
  work: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (timeout === undefined) return work(caller);
  const over = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => {
        over.abort(new DOMException('The time that the caller has set is over', 'TimeoutError'));
        reject(new ConnectError('deadline_exceeded', `there was no answer within the ${timeout} ms of the request`));
      },
      Math.min(timeout, LONGEST),
    );
  });
  try {
    return await Promise.race([
      work(caller === undefined ? over.signal : AbortSignal.any([caller, over.signal])),
      late,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
