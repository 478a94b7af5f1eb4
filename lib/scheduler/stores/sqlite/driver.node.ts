import { SqliteError, thrown } from './driver.js';
import type { SqliteConnection, SqliteDriver, SqliteStatement, SqlRow, SqlValue } from './driver.js';

/** The part of `node:sqlite` that is used here; the types of the oldest supported Node do not know the module. */
interface NodeSqlite {
  readonly DatabaseSync: new (path: string) => NodeDatabase;
}
interface NodeDatabase {
  exec(sql: string): void;
  prepare(sql: string): NodeStatement;
  close(): void;
}
interface NodeStatement {
  run(...parameters: SqlValue[]): { readonly changes: number | bigint };
  get(...parameters: SqlValue[]): SqlRow | undefined;
  all(...parameters: SqlValue[]): SqlRow[];
}

/** SQLite as built into Node >= 22.13. */
export function nodeDriver(): SqliteDriver | undefined {
  // Not an import: that would fail to load where the module is not there.
  const sqlite = (process as { getBuiltinModule?(id: string): NodeSqlite | undefined }).getBuiltinModule?.(
    'node:sqlite',
  );
  return sqlite && { name: 'node', open: (path) => new NodeConnection(attempt(() => new sqlite.DatabaseSync(path))) };
}

class NodeConnection implements SqliteConnection {
  constructor(private readonly database: NodeDatabase) {}

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
          return Number(statement.run(...parameters).changes);
        } catch (error) {
          throw sqliteError(error);
        }
      },
      get(...parameters) {
        try {
          return statement.get(...parameters);
        } catch (error) {
          throw sqliteError(error);
        }
      },
      all(...parameters) {
        try {
          return statement.all(...parameters);
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
  const code = thrown(error, 'errcode');
  return typeof code === 'number' ? new SqliteError(String(thrown(error, 'message')), code, error) : error;
}
