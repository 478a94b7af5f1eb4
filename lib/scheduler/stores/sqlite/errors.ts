import { StoreCorruptError, StoreError, StoreWriteError } from '../../store.js';
import { DamagedError } from '../call.codes.js';
import { SqliteError, thrown } from './driver.js';

/** SQLite's primary result codes (https://www.sqlite.org/rescode.html) that say what to do. */
const ResultCode = {
  ERROR: 1,
  PERM: 3,
  BUSY: 5,
  LOCKED: 6,
  READONLY: 8,
  IOERR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  AUTH: 23,
  NOTADB: 26,
} as const;

export const isBusy = (error: unknown): boolean =>
  error instanceof SqliteError && error.primaryCode === ResultCode.BUSY;

/** Whether a statement does not fit the tables that are there. */
export const isSchemaMismatch = (error: unknown): boolean =>
  error instanceof SqliteError && error.primaryCode === ResultCode.ERROR;

/** What a failure of SQLite or of the file system means for the store. `path`: the file that it was about. */
export function storeError(error: unknown, path: string): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof SqliteError) return fromSqlite(error, path);
  if (error instanceof DamagedError) return corruptError(path, `it is damaged (${error.message})`, error);
  const why = String(thrown(error, 'message') ?? error);
  return isFileSystemError(error)
    ? writeError(path, why, error)
    : new StoreError(`The store ${path} failed: ${why}.`, { cause: error });
}

export function corruptError(path: string, why: string, cause?: unknown): StoreCorruptError {
  return new StoreCorruptError(
    `The file ${path} cannot be used as a store: ${why}. It was left as it is. Restore it from a backup, or move it away ` +
      `(with ${path}-wal, if that is there) to begin with an empty store, or set DISPATCH_STORE to another path.`,
    { cause },
  );
}

function fromSqlite(error: SqliteError, path: string): StoreError {
  switch (error.primaryCode) {
    case ResultCode.CORRUPT:
      return corruptError(path, `it is damaged (${error.message})`, error);
    case ResultCode.NOTADB:
      return corruptError(path, `it is no SQLite database (${error.message})`, error);
    case ResultCode.FULL:
      return new StoreWriteError(
        `The store ${path} cannot be written: the disk is full (${error.message}). Make room on its disk.`,
        {
          cause: error,
        },
      );
    case ResultCode.BUSY:
    case ResultCode.LOCKED:
      return new StoreWriteError(
        `The store ${path} cannot be written: another program holds a lock on it (${error.message}). End what has the file open, such as a database shell or a backup.`,
        { cause: error },
      );
    case ResultCode.PERM:
    case ResultCode.READONLY:
    case ResultCode.IOERR:
    case ResultCode.CANTOPEN:
    case ResultCode.AUTH:
      return writeError(path, error.message, error);
    default:
      return new StoreError(`The store ${path} failed: ${error.message} (SQLite result code ${error.code}).`, {
        cause: error,
      });
  }
}

function writeError(path: string, why: string, cause: unknown): StoreWriteError {
  return new StoreWriteError(
    `The store ${path} cannot be opened or written: ${why}. The file, and the directory it is in, must be writable by this ` +
      `process, on a disk with room; or set DISPATCH_STORE to another path.`,
    { cause },
  );
}

const isFileSystemError = (error: unknown): boolean =>
  thrown(error, 'syscall') !== undefined && thrown(error, 'code') !== undefined;
