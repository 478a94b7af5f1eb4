import type { DurableRun } from '../coroutine/index.js';
import { InvalidArgumentError } from '../errors/index.js';
import type { DispatchTransaction } from './caller.transaction.js';
import type { DispatchCall } from './dispatch.call.js';

/** What `with({ transaction })` allows and what it does not. */

/** The transaction that all of the calls are part of; undefined: none. */
export function transactionOf(calls: readonly DispatchCall<unknown>[]): DispatchTransaction | undefined {
  const [first, ...others] = calls.map(({ description }) => description.options.transaction);
  if (others.every((other) => other === first)) return first;
  throw new InvalidArgumentError(
    'Calls that are dispatched together have to be part of one transaction, or none of them of any: dispatch the batch by ' +
      'client.with({ transaction }).batch().',
  );
}

/** Such a call cannot start before the transaction has ended, which would wait for it. */
export function refuseAwaited(calls: readonly DispatchCall<unknown>[]): void {
  const call = calls.find(({ description }) => description.options.transaction !== undefined);
  if (call === undefined) return;
  throw new InvalidArgumentError(
    `The call of ${call.function} has the option transaction: it starts after the COMMIT, and its result cannot be ` +
      'awaited before. dispatch() it in the transaction, and wait(id) for it afterwards.',
  );
}

/** Outside of a step the transaction would be made again by a replay. */
export function refuseInFunction(run: DurableRun | undefined): void {
  if (run === undefined) return;
  throw new InvalidArgumentError(
    'with({ transaction }) in a durable function: do the whole transaction in a step, from its BEGIN to its COMMIT, and ' +
      'give the call the key of the step: step(({ key }) => …with({ transaction, idempotencyKey: key })…).',
  );
}
