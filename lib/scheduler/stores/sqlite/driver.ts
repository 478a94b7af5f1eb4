/** What SQLite takes and gives. libsql gives blobs as ArrayBuffers or Buffers: read them with `blobOf`. */
export type SqlValue = null | number | string | Uint8Array | ArrayBuffer;
export type SqlRow = Readonly<Record<string, SqlValue>>;

export interface SqliteStatement {
  /** Runs a statement that gives no rows; returns how many rows it changed. */
  run(...parameters: SqlValue[]): number;
  get(...parameters: SqlValue[]): SqlRow | undefined;
  all(...parameters: SqlValue[]): SqlRow[];
}

/** One connection, synchronous. Everything throws `SqliteError`s. */
export interface SqliteConnection {
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  close(): void;
}

export interface SqliteDriver {
  readonly name: SqliteDriverName;
  open(path: string): SqliteConnection;
}

export type SqliteDriverName = 'node' | 'libsql';

/** An error of SQLite itself, the same from every driver. */
export class SqliteError extends Error {
  override readonly name = 'SqliteError';

  /** @param code SQLite's extended result code (https://www.sqlite.org/rescode.html) */
  constructor(
    message: string,
    readonly code: number,
    cause: unknown,
  ) {
    super(message, { cause });
  }

  /** The result code without its details: the low byte. */
  get primaryCode(): number {
    return this.code & 0xff;
  }
}

/**
 * A property of something thrown. Errors of Node and of native modules may come from another realm (under Jest they do),
 * where `instanceof Error` does not hold.
 */
export function thrown(error: unknown, property: 'code' | 'errcode' | 'rawCode' | 'syscall' | 'message'): unknown {
  return typeof error === 'object' && error !== null
    ? (error as Readonly<Record<string, unknown>>)[property]
    : undefined;
}

export function blobOf(value: SqlValue | undefined): Uint8Array | undefined {
  if (value === null || value === undefined || typeof value === 'string' || typeof value === 'number') return undefined;
  // A view of its own type, not a Buffer; `isView`, because blobs may come from another realm.
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value);
}
