import { outsideOfRuns, type CallSpec, type DurableRun } from '../coroutine/index.js';
import { SCHEDULER_ENDPOINT } from '../dispatch.constants.js';
import { InvalidArgumentError } from '../errors/index.js';
import { keyedId } from '../scheduler/index.js';
import { pack } from '../values/index.js';
import type { OutgoingCall } from './backend.js';
import type { DispatchID, DispatchOptions, ResultOptions } from './client.types.js';
import type { DispatchCall } from './dispatch.call.js';

/** What a client does inside a durable function: everything is recorded, so that a replay repeats none of it. */

/** Options that a durable call cannot have, and what to do instead. */
const NOT_AWAITED = [
  ['idempotencyKey', 'such a call is made only once as it is'],
  [
    'priority',
    'it has the priority of the function that awaits it. To give it one of its own, dispatch() it and wait() for it',
  ],
  ['key', 'dispatch() it, and wait() for it'],
  ['delay', 'await sleep() before it, or dispatch() it'],
  ['at', 'await sleep() before it, or dispatch() it'],
] as const satisfies readonly (readonly [keyof DispatchOptions, string])[];

/** The call as a durable call of the function that is running. */
export function specOf({ description }: DispatchCall<unknown>): CallSpec {
  const { endpoint, function: name, version, input, expiration, options } = description;
  for (const [option, advice] of NOT_AWAITED) {
    if (options[option] === undefined) continue;
    throw new InvalidArgumentError(
      `The call of ${name} has the option ${option}, which a call that a durable function awaits cannot have: ${advice}.`,
    );
  }
  return { endpoint, function: name, version, input, expiration };
}

/** Refuses what has no meaning for a result that a durable function awaits. */
export function refuseResultOptions(options: ResultOptions | undefined): void {
  if (options?.timeout === undefined && options?.signal === undefined) return;
  throw new InvalidArgumentError(
    'A durable function awaits results without timeout and signal: use race([call, sleep(…)]), or the expiration of the call.',
  );
}

/**
 * Dispatches in a step. The ids derive from the step's key, which is the same when the step is made again: what reached
 * the scheduler before a crash is not dispatched twice.
 */
export function dispatchInStep(
  run: DurableRun,
  calls: readonly OutgoingCall[],
  send: (calls: readonly OutgoingCall[]) => Promise<DispatchID[]>,
): Promise<DispatchID[]> {
  const dispatch = ({ key }: { readonly key: string }): Promise<DispatchID[]> =>
    outsideOfRuns(() => send(calls.map((call, index) => ({ ...call, id: derivedId(`step:${key}:${index}`) }))));
  return run.step(dispatch, { name: stepName(calls) });
}

/** The call of the scheduler's own function that ends when another call has ended, with its result. */
export function waitSpec(id: DispatchID): CallSpec {
  return { endpoint: SCHEDULER_ENDPOINT, function: 'wait', input: pack(id) };
}

/** The id that derives from a text. */
export function derivedId(text: string): DispatchID {
  return keyedId(text, '');
}

function stepName(calls: readonly OutgoingCall[]): string {
  const [first] = calls;
  return `dispatch ${first?.function ?? ''}${calls.length > 1 ? ` and ${calls.length - 1} more` : ''}`;
}
