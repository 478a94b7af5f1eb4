import { CommanderError } from 'commander';
import {
  ConfigurationError,
  DispatchError,
  InvalidArgumentError,
  NotFoundError,
  PermissionDeniedError,
  UnauthenticatedError,
} from '../errors/index.js';
import { StoreError } from '../scheduler/index.js';

/** What the process ends with; docs/cli.md lists them. */
export enum ExitCode {
  DONE = 0,
  FAILED = 1,
  /** An option, an argument or a setting is wrong. */
  USAGE = 2,
  /** There is no such call. */
  NOT_FOUND = 3,
  /** The scheduler or the store cannot be used at the moment. */
  UNAVAILABLE = 4,
  /** The API key is missing or wrong. */
  REFUSED = 5,
}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.DONE : ExitCode.USAGE;
  if (error instanceof ConfigurationError || error instanceof InvalidArgumentError) return ExitCode.USAGE;
  if (error instanceof NotFoundError) return ExitCode.NOT_FOUND;
  if (error instanceof UnauthenticatedError || error instanceof PermissionDeniedError) return ExitCode.REFUSED;
  if (error instanceof StoreError || error instanceof DispatchError) return ExitCode.UNAVAILABLE;
  // What Node says when it cannot listen: the port is taken, or is for administrators.
  if (typeof error === 'object' && error !== null && 'syscall' in error) return ExitCode.UNAVAILABLE;
  return ExitCode.FAILED;
}
