import type { Any } from '@bufbuild/protobuf/wkt';
import { InvalidArgumentError } from '../errors/index.js';
import { inputKey } from '../values/index.js';
import type { KnownCall } from './store.js';

interface KeyedCall {
  readonly endpoint: string;
  readonly function: string;
  readonly input: Any | undefined;
  readonly idempotencyKey: string | undefined;
}

/**
 * The call that has the key must be this one: another one under it would vanish in silence.
 *
 * @param known what is there
 * @throws InvalidArgumentError when it is another one
 */
export function refuseIfOther(call: KeyedCall, known: KnownCall): void {
  const { idempotencyKey: key } = call;
  const { id, input } = known;
  // A restart or a tail call has replaced what the call began as: there is nothing left to compare.
  if (key === undefined || known.incarnation > 1) return;
  const isSame = known.function === call.function && known.endpoint === call.endpoint && hasInput(call, input);
  if (isSame) return;
  const difference = known.function === call.function ? 'with another input' : `of ${known.function}`;
  throw new InvalidArgumentError(
    `The idempotency key ${JSON.stringify(key)} belongs to a call ${difference} (${id}): the call of ${call.function} ` +
      `was not made. Give each call that is to be made a key of its own.`,
  );
}

function hasInput(call: KeyedCall, recorded: Any | undefined): boolean {
  if (recorded === undefined) return true;
  return call.input !== undefined && Buffer.compare(inputKey(recorded), inputKey(call.input)) === 0;
}
