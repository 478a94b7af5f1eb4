import type { SqliteConnection, SqliteStatement } from './driver.js';
import { CALL } from './rows.js';

export type Statements = Readonly<Record<keyof typeof SQL, SqliteStatement>>;

const PROGRESS = `state = ?, due_at = ?, attempt = ?, crashes = ?, incarnation = ?, delivered = ?, min_results = ?,
  max_results = ?, wake_at = ?, cancel_by = ?`;

const NEW_CALL = `seq, id, root, parent, correlation_high, correlation_low, parent_incarnation, created_at, expires_at,
  priority, limit_key, endpoint, function, version, has_large_input, input, state, due_at, attempt, crashes, incarnation, delivered, min_results,
  max_results, wake_at, cancel_by`;

const CALLS_TO_LIST = `
  (1 << state) & ? AND function = coalesce(?, function) AND (parent IS NULL OR NOT ?)
  AND created_at > ? AND created_at < ?`;

/** The names of the functions of these calls; the condition's one parameter is given twice. */
const namesIn = (calls: string): string => `
    WITH RECURSIVE names (function) AS (
      SELECT (SELECT min(function) FROM ${calls}) UNION ALL
      SELECT (SELECT min(function) FROM ${calls} AND function > names.function) FROM names WHERE names.function IS NOT NULL)
    SELECT function FROM names WHERE function IS NOT NULL`;

/** Every statement of the store. */
const SQL = {
  begin: 'BEGIN IMMEDIATE',
  restartLog: 'PRAGMA wal_checkpoint(RESTART)',
  commit: 'COMMIT',

  createCall: `
    INSERT INTO calls (${NEW_CALL})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING`,
  createFinishedCall: `
    INSERT INTO calls (${NEW_CALL}, status, finished_at, inbox, result)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING`,
  putLargeInput: 'INSERT OR REPLACE INTO large_inputs (call, input) SELECT seq, ? FROM calls WHERE id = ?',
  setProgress: `UPDATE calls SET ${PROGRESS} WHERE id = ? AND finished_at IS NULL`,
  setTarget: 'UPDATE calls SET endpoint = ?, function = ?, version = ?, has_large_input = ?, input = ? WHERE id = ?',
  clearJournal: 'UPDATE calls SET journal_bytes = 0, journal_digest = 0, journal_kind = 0 WHERE id = ?',
  reopen: 'UPDATE calls SET finished_at = NULL, status = NULL, inbox = 0, result = NULL WHERE id = ?',
  /** Not for a call that has a journal: a statement that removes it costs every call that has none. */
  finish: `
    UPDATE calls SET state = ?, status = ?, finished_at = ?, inbox = ?, result = ?
    WHERE id = ? AND finished_at IS NULL AND journal_bytes = 0 AND journal_kind = 0`,
  moveJournalEnd: `
    UPDATE calls SET journal_bytes = ?, journal_digest = ?, journal_kind = 0
    WHERE id = ? AND journal_bytes = ? AND journal_kind <> 2 AND finished_at IS NULL`,
  advance: `
    UPDATE calls SET journal_bytes = ?, journal_digest = ?, journal_kind = 0, ${PROGRESS}
    WHERE id = ? AND journal_bytes = ? AND journal_kind <> 2 AND finished_at IS NULL`,
  addToJournal: 'INSERT INTO journals (call, n, bytes) SELECT seq, ?, ? FROM calls WHERE id = ?',
  removeJournal: 'DELETE FROM journals WHERE call = (SELECT seq FROM calls WHERE id = ?)',
  setForeignState: `
    UPDATE calls SET journal_bytes = ?, journal_digest = ?, journal_kind = ? WHERE id = ? AND finished_at IS NULL`,
  purgeCall: 'DELETE FROM calls WHERE id = ? AND finished_at IS NOT NULL',

  ends: `
    SELECT (SELECT coalesce(min(seq), 0) FROM calls) AS first, (SELECT coalesce(max(seq), 0) FROM calls) AS last`,
  getCall: `SELECT ${CALL} FROM calls WHERE id = ?`,
  journalEnd: 'SELECT finished_at, journal_bytes, journal_kind FROM calls WHERE id = ?',
  inputOfCall: `
    SELECT CASE WHEN has_large_input THEN (SELECT input FROM large_inputs WHERE call = seq) ELSE input END AS input
    FROM calls WHERE id = ?`,
  journalOfCall: 'SELECT bytes FROM journals WHERE call = (SELECT seq FROM calls WHERE id = ?) ORDER BY n',
  resultsOfCalls: `
    SELECT ids.key AS place, result FROM json_each(?) AS ids CROSS JOIN calls ON calls.id = ids.value
    WHERE finished_at IS NOT NULL`,

  unfinishedCalls: `SELECT ${CALL} FROM calls INDEXED BY unfinished WHERE finished_at IS NULL ORDER BY seq`,
  undeliveredResults: `
    SELECT json_array(child.id, parent.id, child.correlation_high, child.correlation_low, child.inbox) AS result
    FROM calls AS parent INDEXED BY unfinished
    CROSS JOIN calls AS child INDEXED BY children ON child.parent = parent.id
    WHERE parent.finished_at IS NULL AND child.parent IS NOT NULL AND child.finished_at IS NOT NULL
      AND child.inbox > parent.delivered AND child.parent_incarnation = parent.incarnation
    ORDER BY parent.seq, child.inbox`,

  /** A slice of the table: what no index helps with is looked for in slices, so that the event loop goes on between them. */
  listSlice: `
    SELECT ${CALL} FROM calls WHERE seq < ? AND seq >= ? AND ${CALLS_TO_LIST} ORDER BY seq DESC LIMIT ?`,
  /** Those of the numbers that it is given. */
  listCalls: `
    SELECT ${CALL} FROM calls WHERE seq IN (SELECT value FROM json_each(?)) AND ${CALLS_TO_LIST} ORDER BY seq DESC LIMIT ?`,
  createdFrom: 'SELECT seq, created_at FROM calls WHERE seq >= ? ORDER BY seq LIMIT 1',
  rootOf: 'SELECT coalesce(root, id) AS root FROM calls WHERE id = ?',
  seqOfRoot: 'SELECT seq FROM calls WHERE id = ? AND root IS NULL',

  /** Numbers of calls, from nothing but an index, the highest first. Roots are the calls whose root is null. */
  unfinishedOf: `
    SELECT seq FROM calls INDEXED BY unfinished WHERE finished_at IS NULL AND root IS ? AND function = ? AND seq < ?
    ORDER BY seq DESC LIMIT ?`,
  finishedOf: `
    SELECT seq FROM calls INDEXED BY finished
    WHERE finished_at IS NOT NULL AND root IS ? AND function = ? AND state = ? AND seq < ?
    ORDER BY seq DESC LIMIT ?`,
  unfinishedChildren: `
    SELECT seq FROM calls INDEXED BY unfinished WHERE finished_at IS NULL AND root IS NOT NULL AND seq < ?
    ORDER BY seq DESC LIMIT ?`,
  unsuccessful: `
    SELECT seq FROM calls INDEXED BY unsuccessful
    WHERE (state = 2 OR state > 3) AND state = ? AND function = ? AND seq < ?
    ORDER BY seq DESC LIMIT ?`,
  childrenNamed: `
    SELECT seq FROM calls INDEXED BY functions WHERE root IS NOT NULL AND function = ? AND seq < ?
    ORDER BY seq DESC LIMIT ?`,
  childrenOf: `
    SELECT seq FROM calls INDEXED BY children WHERE parent IS NOT NULL AND parent = ? AND seq < ?
    ORDER BY seq DESC LIMIT ?`,

  /** Names of functions: one step in the index for each of them, however many calls they have. */
  namesOfUnfinished: namesIn('calls INDEXED BY unfinished WHERE finished_at IS NULL AND root IS ?'),
  namesOfFinished: namesIn('calls INDEXED BY finished WHERE finished_at IS NOT NULL AND root IS ?'),
  namesOfUnsuccessful: namesIn('calls INDEXED BY unsuccessful WHERE (state = 2 OR state > 3) AND state = ?'),

  finishedRoots: `
    SELECT id FROM calls AS root INDEXED BY finished_roots
    WHERE finished_at < ? AND finished_at IS NOT NULL AND root.root IS NULL
      AND NOT EXISTS (SELECT 1 FROM calls AS call INDEXED BY unfinished WHERE call.root = root.id AND call.finished_at IS NULL)
    ORDER BY finished_at, seq LIMIT ?`,
  descendants: 'SELECT id FROM calls INDEXED BY finished WHERE finished_at IS NOT NULL AND root = ? LIMIT ?',
} as const;

export function prepareStatements(connection: SqliteConnection): Statements {
  const prepared = Object.entries(SQL).map(([name, sql]) => [name, connection.prepare(sql)] as const);
  return Object.fromEntries(prepared) as Statements;
}
