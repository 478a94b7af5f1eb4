import { StoreConflictError, StoreCorruptError, StoreError, StoreLockedError, StoreWriteError } from '../../store.js';
import type { DatabaseOptions } from './database.js';
import type { DatabaseMethod } from './database.handle.js';
import type { SqliteDriverName } from './driver.js';

/** What the database's thread is started with. */
export interface DatabaseLocation {
  readonly driver: SqliteDriverName;
  readonly name: string;
  readonly path: string;
  readonly options: DatabaseOptions;
}

/** Asks the database's thread for something. The answer has the same number. */
export interface DatabaseRequest {
  readonly number: number;
  readonly method: DatabaseMethod | 'open' | 'commit' | 'close';
  readonly args: readonly unknown[];
}

export type DatabaseResponse =
  { readonly number: number; readonly value: unknown } | { readonly number: number; readonly error: ErrorMessage };

/** An error as it crosses between threads, where errors lose their class. */
export interface ErrorMessage {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
}

const STORE_ERRORS = [StoreError, StoreConflictError, StoreLockedError, StoreCorruptError, StoreWriteError];

export function toMessage(error: unknown): ErrorMessage {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined };
  return { name: error.constructor.name, message: error.message, stack: error.stack };
}

export function fromMessage({ name, message, stack }: ErrorMessage): Error {
  const known = STORE_ERRORS.find((type) => type.name === name) ?? Error;
  const error = new known(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
