import type { Any } from '@bufbuild/protobuf/wkt';
import { InvalidArgumentError } from '../errors/index.js';
import { inputHash } from '../values/index.js';
import type { Scheduler } from './scheduler.js';
import type { DispatchId } from './store.js';

interface KeyedCall {
  readonly endpoint: string;
  readonly function: string;
  readonly input: Any | undefined;
  readonly idempotencyKey: string | undefined;
}

/**
 * The call that has the key must be this one: another one under it would vanish in silence.
 *
 * @param id what was dispatched, or was there
 * @throws InvalidArgumentError when it is another one
 */
export async function refuseOtherCall(
  call: KeyedCall,
  id: DispatchId | undefined,
  scheduler: Pick<Scheduler, 'get'>,
  inputOf: (id: DispatchId) => Promise<Any | undefined>,
): Promise<void> {
  const key = call.idempotencyKey;
  if (key === undefined || id === undefined) return;
  const [info, input] = await Promise.all([scheduler.get(id), inputOf(id)]);
  // A restart or a tail call has replaced what the call began as: there is nothing left to compare.
  if (info === undefined || info.incarnation > 1) return;
  const isSame = info.function === call.function && info.endpoint === call.endpoint && hasInput(call, input);
  if (isSame) return;
  const difference = info.function === call.function ? 'with another input' : `of ${info.function}`;
  throw new InvalidArgumentError(
    `The idempotency key ${JSON.stringify(key)} belongs to a call ${difference} (${id}): the call of ${call.function} ` +
      `was not made. Give each call that is to be made a key of its own.`,
  );
}

function hasInput(call: KeyedCall, recorded: Any | undefined): boolean {
  if (recorded === undefined) return true;
  return call.input !== undefined && Buffer.compare(inputHash(recorded), inputHash(call.input)) === 0;
}
