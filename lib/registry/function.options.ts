import type { DispatchFunctionOptions, FunctionConcurrency } from '../decorators/index.js';
import { describe, parseDuration } from '../dispatch.duration.js';
import { refuseUnknownNames } from '../dispatch.spelling.js';
import { ConfigurationError, isFailure, isIncompatible, Status } from '../errors/index.js';
import type { RetryPolicy } from '../protocol/index.js';
import type { FunctionPolicy } from './registered-function.js';

const NAMES = [
  'name',
  'version',
  'expiration',
  'retry',
  'concurrency',
  'runTimeout',
  'onIncompatible',
  'startAfterCommit',
] as const satisfies readonly (keyof DispatchFunctionOptions)[];

const RETRY_NAMES = [
  'maxAttempts',
  'initial',
  'max',
  'multiplier',
  'retryOn',
] as const satisfies readonly (keyof RetryPolicy)[];

const CONCURRENCY_NAMES = ['runs', 'perKey'] as const satisfies readonly (keyof FunctionConcurrency)[];

/** PROTOCOL: the names that a call may carry. */
const FUNCTION_NAME = /^[a-zA-Z_][a-zA-Z0-9_<>.]*$/;

/**
 * The name that a decorated method is registered under.
 *
 * @param place where the method is, for the error
 * @throws ConfigurationError for a name that the protocol does not carry
 */
export function functionName(
  options: DispatchFunctionOptions,
  className: string,
  key: string | symbol,
  place: string,
): string {
  const method = typeof key === 'symbol' ? (key.description ?? '') : key;
  const name = options.name ?? `${className}.${method}`;
  if (typeof name === 'string' && FUNCTION_NAME.test(name)) return name;
  throw new ConfigurationError(
    `The durable function ${place} has the name ${describe(name)}, which cannot be used: ` +
      `give @DispatchFunction({ name }) one of letters, digits, '_', '.', '<' and '>' that begins with a letter or '_'.`,
  );
}

/**
 * Reads the options of `@DispatchFunction()`.
 *
 * @throws ConfigurationError that names the place, the option and what is wrong with it
 */
export function functionPolicy(options: DispatchFunctionOptions, place: string): FunctionPolicy {
  const where = `@DispatchFunction() of ${place}: `;
  refuseUnknownNames(options, NAMES, '', where);
  const { version = '', onIncompatible, startAfterCommit } = options;
  if (typeof version !== 'string')
    throw new ConfigurationError(`${where}version is ${describe(version)}: give a string.`);
  if (onIncompatible !== undefined && onIncompatible !== 'park' && onIncompatible !== 'restart') {
    throw new ConfigurationError(`${where}onIncompatible is ${describe(onIncompatible)}: give 'park' or 'restart'.`);
  }
  if (startAfterCommit !== undefined && typeof startAfterCommit !== 'boolean') {
    throw new ConfigurationError(`${where}startAfterCommit is ${describe(startAfterCommit)}: give true or false.`);
  }
  return {
    version,
    expiration: duration(options.expiration, `${where}expiration`),
    retry: options.retry === undefined ? undefined : retryPolicy(options.retry, where),
    ...concurrencyLimits(options.concurrency, where),
    runTimeout: duration(options.runTimeout, `${where}runTimeout`),
    onIncompatible,
    startAfterCommit,
  };
}

function concurrencyLimits(
  concurrency: DispatchFunctionOptions['concurrency'],
  where: string,
): Pick<FunctionPolicy, 'concurrency' | 'perKey'> {
  if (typeof concurrency !== 'object' || concurrency === null) {
    return { concurrency: count(concurrency, `${where}concurrency`) };
  }
  refuseUnknownNames(concurrency, CONCURRENCY_NAMES, 'concurrency.', where);
  return {
    concurrency: count(concurrency.runs, `${where}concurrency.runs`),
    perKey: count(concurrency.perKey, `${where}concurrency.perKey`),
  };
}

function retryPolicy(retry: NonNullable<DispatchFunctionOptions['retry']>, where: string): RetryPolicy {
  refuseUnknownNames(retry, RETRY_NAMES, 'retry.', where);
  const { multiplier } = retry;
  if (multiplier !== undefined && !(Number.isFinite(multiplier) && multiplier >= 1)) {
    throw new ConfigurationError(`${where}retry.multiplier is ${describe(multiplier)}: give a number from 1 on.`);
  }
  return {
    maxAttempts: count(retry.maxAttempts, `${where}retry.maxAttempts`),
    initial: duration(retry.initial, `${where}retry.initial`),
    max: duration(retry.max, `${where}retry.max`),
    multiplier,
    retryOn: statuses(retry.retryOn, `${where}retry.retryOn`),
  };
}

function statuses(option: readonly Status[] | undefined, setting: string): readonly Status[] | undefined {
  if (option === undefined) return undefined;
  const given: unknown = option;
  const isList = Array.isArray(given);
  const wrong: unknown = isList ? option.find((status) => !isFailure(status) || isIncompatible(status)) : given;
  if (isList && wrong === undefined) return option;
  const advice = wrong === Status.INCOMPATIBLE_STATE ? ' Calls with that status are what onIncompatible is for.' : '';
  throw new ConfigurationError(
    `${setting} ${isList ? 'has' : 'is'} ${describe(wrong)}: give a list of statuses of errors, such as ` +
      `[Status.TEMPORARY_ERROR, Status.THROTTLED].${advice}`,
  );
}

function duration(option: number | string | undefined, setting: string): number | undefined {
  return option === undefined ? undefined : parseDuration(option, setting);
}

function count(option: number | undefined, setting: string): number | undefined {
  if (option === undefined || (Number.isSafeInteger(option) && option >= 1)) return option;
  throw new ConfigurationError(`${setting} is ${describe(option)}: give a whole number from 1 on.`);
}
