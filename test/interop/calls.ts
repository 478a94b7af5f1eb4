import { match, ok } from 'node:assert/strict';

/** Calls of the functions in `python/functions.py`, and what must come of some. */

/** What Node cannot make, arguments in Python's own form, a function over there makes of a plain list. */
export function begin(endpoint: string, name: string, ...args: unknown[]) {
  return { endpoint, function: 'begin', input: [name, ...args] };
}

/** A call of a function that takes a plain value. */
export function double(endpoint: string) {
  return { endpoint, function: 'double', input: 21 };
}

export async function rejectsWith(
  promise: Promise<unknown>,
  type: abstract new (...args: never[]) => Error,
  message: RegExp,
): Promise<void> {
  const error = await promise.then(
    (value) => new Error(`it resolved with ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  ok(error instanceof type, `${String(error)} is no ${type.name}`);
  match(error.message, message);
}
