import { ConnectError } from './connect.js';

/** Longer than this `setTimeout` cannot wait; nor does anybody. */
const LONGEST = 2 ** 31 - 1;

const HEADER = 'connect-timeout-ms';
/** More than ten digits are not allowed. */
const LONGEST_HEADER = 9_999_999_999;

/** What tells the other side how much time is left until the deadline, in milliseconds since 1970; nothing without one. */
export function timeoutHeader(deadline: number | undefined): Record<string, string> {
  if (deadline === undefined) return {};
  const left = Math.ceil(deadline - Date.now());
  return { [HEADER]: String(Math.min(Math.max(1, left), LONGEST_HEADER)) };
}

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
