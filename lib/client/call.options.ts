import { describe, parseDuration } from '../dispatch.duration.js';
import { nearest } from '../dispatch.spelling.js';
import { InvalidArgumentError } from '../errors/index.js';
import { MAX_KEY, MAX_PRIORITY } from '../scheduler/index.js';
import { callerTransaction } from './caller.transaction.js';
import type { DispatchOptions } from './client.types.js';

const NAMES = [
  'idempotencyKey',
  'priority',
  'key',
  'delay',
  'at',
  'expiration',
  'transaction',
] as const satisfies readonly (keyof DispatchOptions)[];

/** The options of a dispatch, read. Times are milliseconds. */
export interface ReadDispatchOptions {
  readonly idempotencyKey: string | undefined;
  readonly priority: number | undefined;
  readonly key: string | undefined;
  readonly dueAt: number | undefined;
  readonly expiration: number | undefined;
}

/** @throws InvalidArgumentError that names the option and what is wrong with it */
export function checkDispatchOptions(options: DispatchOptions): void {
  for (const name of Object.keys(options)) {
    if ((NAMES as readonly string[]).includes(name)) continue;
    const meant = nearest(name, NAMES);
    throw new InvalidArgumentError(
      `with({ ${name} }): there is no such option` +
        (meant === undefined ? `: ${NAMES.join(', ')}.` : `: did you mean ${meant}?`),
    );
  }
  if (options.delay !== undefined && options.at !== undefined) {
    throw new InvalidArgumentError('with({ delay, at }): give one of them; both say when the call starts.');
  }
  if (options.transaction !== undefined) callerTransaction(options.transaction);
  readDispatchOptions(options, 0);
}

export function readDispatchOptions(
  { idempotencyKey, priority, key, delay, at, expiration }: DispatchOptions,
  now: number,
): ReadDispatchOptions {
  requireText('idempotencyKey', idempotencyKey);
  requireText('key', key);
  if (key !== undefined && key.length > MAX_KEY) {
    throw new InvalidArgumentError(`with({ key }) got ${key.length} characters: give at most ${MAX_KEY}.`);
  }
  if (priority !== undefined && !(Number.isInteger(priority) && Math.abs(priority) <= MAX_PRIORITY)) {
    throw new InvalidArgumentError(
      `with({ priority }) got ${describe(priority)}: give a whole number from ${-MAX_PRIORITY} to ${MAX_PRIORITY}.`,
    );
  }
  return {
    idempotencyKey,
    priority,
    key,
    dueAt: delay === undefined ? timeOf(at) : now + parseDuration(delay, 'with({ delay })', refuse),
    expiration: expiration === undefined ? undefined : parseDuration(expiration, 'with({ expiration })', refuse),
  };
}

export const refuse = (message: string): Error => new InvalidArgumentError(message);

function requireText(name: keyof DispatchOptions, value: unknown): void {
  if (value === undefined || (typeof value === 'string' && value !== '')) return;
  throw new InvalidArgumentError(`with({ ${name} }) got ${describe(value)}: give a string that is not empty.`);
}

function timeOf(at: Date | number | undefined): number | undefined {
  if (at === undefined) return undefined;
  const time = at instanceof Date ? at.getTime() : at;
  if (Number.isFinite(time) && time >= 0) return time;
  throw new InvalidArgumentError(`with({ at }) got ${describe(at)}: give a valid Date, or milliseconds since 1970.`);
}
