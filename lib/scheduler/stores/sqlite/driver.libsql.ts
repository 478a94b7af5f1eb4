import { SqliteError, thrown } from './driver.js';
import type { SqliteConnection, SqliteDriver, SqliteStatement, SqlRow, SqlValue } from './driver.js';

/** The part of libsql that is used here. Parameters are handed over as one array, which it does not copy. */
interface LibsqlDatabase {
  exec(sql: string): void;
  prepare(sql: string): LibsqlStatement;
  close(): void;
}
interface LibsqlStatement {
  run(parameters: SqlValue[]): { readonly changes: number };
  get(parameters: SqlValue[]): SqlRow | undefined;
  all(parameters: SqlValue[]): SqlRow[];
}
type LibsqlConstructor = new (path: string) => LibsqlDatabase;

/** SQLite as the optional dependency `libsql` brings it, prebuilt. */
export async function libsqlDriver(): Promise<SqliteDriver | undefined> {
  const Database = await loadLibsql();
  return Database && { name: 'libsql', open: (path) => new LibsqlConnection(attempt(() => new Database(path))) };
}

async function loadLibsql(): Promise<LibsqlConstructor | undefined> {
  try {
    const module = (await import('libsql')) as unknown as { readonly default: LibsqlConstructor };
    return module.default;
  } catch (error) {
    // The package itself, or the one with the binary for this platform.
    const code = thrown(error, 'code');
    if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

class LibsqlConnection implements SqliteConnection {
  constructor(private readonly database: LibsqlDatabase) {}

  exec(sql: string): void {
    attempt(() => {
      this.database.exec(sql);
    });
  }

  prepare(sql: string): SqliteStatement {
    const statement = attempt(() => this.database.prepare(sql));
    return {
      run(...parameters) {
        try {
          return statement.run(parameters).changes;
        } catch (error) {
          throw sqliteError(error);
        }
      },
      get(...parameters) {
        try {
          return statement.get(parameters);
        } catch (error) {
          throw sqliteError(error);
        }
      },
      all(...parameters) {
        try {
          return statement.all(parameters);
        } catch (error) {
          throw sqliteError(error);
        }
      },
    };
  }

  close(): void {
    attempt(() => {
      this.database.close();
    });
  }
}

function attempt<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw sqliteError(error);
  }
}

function sqliteError(error: unknown): unknown {
  const message = String(thrown(error, 'message'));
  const code = thrown(error, 'rawCode');
  if (typeof code === 'number') return new SqliteError(message, code, error);
  // A failed open carries its result code in the message alone: `…: 14`.
  const opening = /^ConnectionFailed\(.*: (\d+)"\)$/s.exec(message)?.[1];
  return opening === undefined ? error : new SqliteError(message, Number(opening), error);
}
