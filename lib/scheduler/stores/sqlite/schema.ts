import type { SqliteConnection } from './driver.js';
import { corruptError } from './errors.js';

/** Marks the file as ours: 'NDsp' (https://www.sqlite.org/pragma.html#pragma_application_id). */
export const APPLICATION_ID = 0x4e447370;
export const SCHEMA_VERSION = 4;

/**
 * Calls are kept in the order of creation, so that new rows go to the end of the table. `root` and `parent` are null for
 * roots, `finished_at` is null until the call has ended. A correlation id has 64 unsigned bits, which SQLite's integers and
 * JavaScript's numbers have not: it is kept in halves.
 *
 * Rows are written again whenever a call's progress changes, so a large input has a table of its own. Triggers remove what
 * belongs to a row in the other tables, at no cost for the calls that have nothing there.
 *
 * Each index has what it finds in the order of creation. A call is in `unfinished` until it ends and in `finished` from
 * then on: so neither changes while it makes progress, and together they have the calls of a tree, and the roots, by function
 * and end. (The condition of `unsuccessful` is no IN: SQLite builds a table for a list of three, with every row written.)
 */
const SCHEMA = `
  CREATE TABLE calls (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    root TEXT,
    parent TEXT,
    correlation_high INTEGER NOT NULL,
    correlation_low INTEGER NOT NULL,
    parent_incarnation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    endpoint TEXT NOT NULL,
    function TEXT NOT NULL,
    version TEXT NOT NULL,
    state INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    min_results INTEGER NOT NULL,
    max_results INTEGER NOT NULL,
    wake_at INTEGER,
    cancel_by INTEGER,
    journal_bytes INTEGER NOT NULL DEFAULT 0,
    journal_digest INTEGER NOT NULL DEFAULT 0,
    journal_kind INTEGER NOT NULL DEFAULT 0,
    finished_at INTEGER,
    status INTEGER,
    inbox INTEGER NOT NULL DEFAULT 0,
    has_large_input INTEGER NOT NULL,
    input BLOB,
    result BLOB,
    priority INTEGER NOT NULL DEFAULT 0,
    limit_key TEXT NOT NULL DEFAULT ''
  );
  CREATE INDEX children ON calls (parent) WHERE parent IS NOT NULL;
  CREATE INDEX functions ON calls (function) WHERE root IS NOT NULL;
  CREATE INDEX unfinished ON calls (root, function) WHERE finished_at IS NULL;
  CREATE INDEX finished ON calls (root, function, state) WHERE finished_at IS NOT NULL;
  CREATE INDEX finished_roots ON calls (finished_at) WHERE finished_at IS NOT NULL AND root IS NULL;
  CREATE INDEX unsuccessful ON calls (state, function) WHERE state = 2 OR state > 3;

  CREATE TABLE large_inputs (call INTEGER PRIMARY KEY, input BLOB NOT NULL);

  -- What was appended to the journal of a call; it ends at byte n of the journal then.
  CREATE TABLE journals (call INTEGER NOT NULL, n INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (call, n)) WITHOUT ROWID;

  CREATE TRIGGER journal_removed AFTER UPDATE OF journal_bytes ON calls
    WHEN OLD.journal_bytes > 0 AND NEW.journal_bytes = 0
    BEGIN DELETE FROM journals WHERE call = OLD.seq; END;
  CREATE TRIGGER large_input_removed AFTER UPDATE OF has_large_input ON calls
    WHEN OLD.has_large_input AND NOT NEW.has_large_input
    BEGIN DELETE FROM large_inputs WHERE call = OLD.seq; END;
  CREATE TRIGGER call_removed AFTER DELETE ON calls
    WHEN OLD.has_large_input OR OLD.journal_bytes > 0
    BEGIN
      DELETE FROM large_inputs WHERE call = OLD.seq;
      DELETE FROM journals WHERE call = OLD.seq;
    END;

  PRAGMA application_id = ${APPLICATION_ID};
`;

/** What brings the tables of a version to the next one, by that version. Both ways lead to the same tables. */
const UPGRADES: Readonly<Record<number, string>> = {
  1: `
    ALTER TABLE calls ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE calls ADD COLUMN limit_key TEXT NOT NULL DEFAULT '';
  `,
  2: `
    CREATE INDEX roots ON calls (function) WHERE root IS NULL;
    CREATE INDEX unsuccessful ON calls (state) WHERE state IN (4, 5);
  `,
  3: `
    DROP INDEX children;
    DROP INDEX unfinished;
    DROP INDEX roots;
    DROP INDEX unsuccessful;
    CREATE INDEX children ON calls (parent) WHERE parent IS NOT NULL;
    CREATE INDEX functions ON calls (function) WHERE root IS NOT NULL;
    CREATE INDEX unfinished ON calls (root, function) WHERE finished_at IS NULL;
    CREATE INDEX finished ON calls (root, function, state) WHERE finished_at IS NOT NULL;
    CREATE INDEX unsuccessful ON calls (state, function) WHERE state = 2 OR state > 3;
  `,
};

/**
 * Makes the tables in an empty file, brings older ones to this version, and checks that another file is ours.
 * @throws StoreCorruptError when it is not, or is of a newer version. Nothing was written then.
 */
export function bringToCurrentVersion(connection: SqliteConnection, path: string): void {
  const applicationId = pragma(connection, 'application_id');
  const version = pragma(connection, 'user_version');
  if (applicationId === APPLICATION_ID && version === SCHEMA_VERSION) return;
  if (applicationId === APPLICATION_ID && version > SCHEMA_VERSION) {
    throw corruptError(
      path,
      `a newer version of this package wrote it (its tables have version ${version}, this one knows ${SCHEMA_VERSION}); ` +
        `upgrading the package is the other way to go on`,
    );
  }
  const steps = applicationId === APPLICATION_ID ? upgradesFrom(version) : undefined;
  if (steps === undefined && (applicationId !== 0 || version !== 0 || objects(connection) !== 0)) {
    throw corruptError(path, 'it holds the tables of another application');
  }
  try {
    connection.exec(`BEGIN IMMEDIATE; ${steps ?? SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
  } catch (error) {
    rollBack(connection);
    throw error;
  }
}

/** What brings tables of that version to this one; undefined: there never was such a version. */
function upgradesFrom(version: number): string | undefined {
  let steps = '';
  for (let from = version; from < SCHEMA_VERSION; from++) {
    const step = UPGRADES[from];
    if (step === undefined) return undefined;
    steps += step;
  }
  return steps;
}

/** Ends a transaction that failed. Where SQLite has ended it by itself (a full disk), there is none any more. */
export function rollBack(connection: SqliteConnection): void {
  try {
    connection.exec('ROLLBACK');
  } catch {
    return;
  }
}

function pragma(connection: SqliteConnection, name: 'application_id' | 'user_version'): number {
  return Number(connection.prepare(`PRAGMA ${name}`).get()?.[name]);
}

function objects(connection: SqliteConnection): number {
  return Number(connection.prepare('SELECT count(*) AS count FROM sqlite_schema').get()?.['count']);
}
