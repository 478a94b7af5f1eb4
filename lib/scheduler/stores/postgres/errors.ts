import { InvalidArgumentError } from '../../../errors/index.js';
import { StoreCorruptError, StoreError, StoreReservedError, StoreWriteError } from '../../store.js';
import { DamagedError } from '../call.codes.js';

/** What the server says about a statement that failed (https://www.postgresql.org/docs/current/protocol-error-fields.html). */
interface ServerError extends Error {
  readonly code: string;
  readonly severity: string;
}

/** Codes of errors that say what to do (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
const SqlState = {
  FAILED_TRANSACTION: '25P02',
  READ_ONLY_TRANSACTION: '25006',
  UNIQUE_VIOLATION: '23505',
  LOCK_NOT_AVAILABLE: '55P03',
  INSUFFICIENT_PRIVILEGE: '42501',
  UNDEFINED_TABLE: '42P01',
  UNDEFINED_COLUMN: '42703',
  INVALID_SCHEMA_NAME: '3F000',
  INVALID_CATALOG_NAME: '3D000',
  INVALID_PASSWORD: '28P01',
  INVALID_AUTHORIZATION: '28000',
} as const;

function isServerError(error: unknown): error is ServerError {
  return error instanceof Error && 'severity' in error && 'code' in error && typeof error.code === 'string';
}

/** Whether the connection is of no use any more: only an answer of severity ERROR leaves it as it was. */
export const isConnectionLoss = (error: unknown): boolean => !isServerError(error) || error.severity !== 'ERROR';

/** A statement that was not tried, because one before it in the transaction had failed. */
export const isFollowUp = (error: unknown): boolean =>
  isServerError(error) && error.code === SqlState.FAILED_TRANSACTION;

/** The store's schema is not there, or not as this version needs it. */
export const isSchemaMissing = (error: unknown): boolean =>
  isServerError(error) && (error.code === SqlState.UNDEFINED_TABLE || error.code === SqlState.INVALID_SCHEMA_NAME);

/** What a failure of the server or of the connection means for the store. */
export function storeError(error: unknown, store: string): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof DamagedError) {
    return new StoreCorruptError(
      `The store ${store} is damaged: ${error.message}. It was left as it is. Restore it from a backup, or choose another schema.`,
      { cause: error },
    );
  }
  const why = (error instanceof Error ? error.message : String(error)) || 'the connection failed';
  if (!isServerError(error)) return unreachable(store, why, error);
  switch (error.code) {
    case SqlState.INSUFFICIENT_PRIVILEGE:
      return new StoreWriteError(
        `The store ${store} refuses access: ${why}. Its user needs CREATE on the database to make the schema, and all rights in it.`,
        { cause: error },
      );
    case SqlState.READ_ONLY_TRANSACTION:
      return new StoreWriteError(
        `The store ${store} cannot be written: ${why}. The server is a standby: give the address of the primary.`,
        { cause: error },
      );
    case SqlState.INVALID_PASSWORD:
    case SqlState.INVALID_AUTHORIZATION:
    case SqlState.INVALID_CATALOG_NAME:
      return new StoreError(`The store ${store} cannot be opened: ${why}. Correct the address in DISPATCH_STORE.`, {
        cause: error,
      });
    case SqlState.LOCK_NOT_AVAILABLE:
      return new StoreReservedError(
        `The store ${store} did not take a commit: a transaction that makes a call with the same id is open. Nothing of it was stored.`,
        { cause: error },
      );
    case SqlState.UNDEFINED_TABLE:
    case SqlState.UNDEFINED_COLUMN:
    case SqlState.INVALID_SCHEMA_NAME:
      return new StoreCorruptError(`The tables of the store ${store} are not as they were made: ${why}.`, {
        cause: error,
      });
    default:
      // Classes 08 and 57: the connection, and an operator's intervention, such as a shutdown.
      if (/^(08|57P)/.test(error.code)) return unreachable(store, why, error);
      return new StoreWriteError(`The store ${store} failed: ${why} (SQLSTATE ${error.code}).`, { cause: error });
  }
}

/** How deep libraries wrap what the server says. */
const MOST_WRAPPED = 5;

/**
 * What a failure in a transaction of the application means, where that is to be told about the store; undefined for
 * anything else, such as a conflict with another transaction, which the application deals with as always.
 */
export function refusalOfTransaction(error: unknown, store: string, schema: string): InvalidArgumentError | undefined {
  const states = sqlStatesIn(error, MOST_WRAPPED);
  if (states.has(SqlState.INSUFFICIENT_PRIVILEGE)) {
    return new InvalidArgumentError(
      `with({ transaction }) for the store ${store}: the user of the transaction may not write there. Grant it the rights: ` +
        `GRANT USAGE ON SCHEMA ${schema} TO …; GRANT SELECT, INSERT ON ${schema}.calls TO …; GRANT SELECT ON ${schema}.processes TO …`,
      { cause: error },
    );
  }
  if (!states.has(SqlState.UNDEFINED_TABLE) && !states.has(SqlState.INVALID_SCHEMA_NAME)) return undefined;
  return new InvalidArgumentError(
    `with({ transaction }) for the store ${store}: the transaction is in a database without its schema ${schema}. Set ` +
      'scheduler.store, or DISPATCH_STORE, to the address of the database that the transaction is in.',
    { cause: error },
  );
}

/** Drivers have it as `code`; what libraries put around their errors has them as `cause`, `driverError` and so on. */
function sqlStatesIn(error: unknown, depth: number): Set<unknown> {
  if (typeof error !== 'object' || error === null || depth === 0) return new Set();
  const { code, originalCode, cause, driverError, meta, driverAdapterError } = error as Record<string, unknown>;
  const states = new Set([code, originalCode]);
  for (const wrapped of [cause, driverError, meta, driverAdapterError]) {
    for (const state of sqlStatesIn(wrapped, depth - 1)) states.add(state);
  }
  return states;
}

export function unreachable(store: string, why: string, cause?: unknown): StoreWriteError {
  return new StoreWriteError(
    `The store ${store} cannot be reached: ${why}. See that the server runs and that its address is right.`,
    { cause },
  );
}
