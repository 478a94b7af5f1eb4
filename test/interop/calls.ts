import { equal, match, ok } from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import type { DispatchClient, DispatchID } from '../../lib/index.js';

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

/** The ids in what `python/client.py` printed. */
export function idsOf(line: string): string[] {
  const [word, ...ids] = line.split(' ');
  equal(word, 'dispatched', line);
  return ids;
}

export const resultsOf = (client: DispatchClient, ids: readonly string[], timeout = '10s'): Promise<unknown[]> =>
  Promise.all(ids.map((id) => client.wait(id, { timeout })));

export async function suspended(client: DispatchClient, id: DispatchID): Promise<void> {
  while ((await client.get(id))?.state !== 'suspended') await pause(20);
}
