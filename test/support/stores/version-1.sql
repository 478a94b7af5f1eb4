-- The tables of version 1, as they were, with one call that has ended and one that goes on.
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
  result BLOB
);
CREATE INDEX children ON calls (root, parent) WHERE root IS NOT NULL;
CREATE INDEX unfinished ON calls (root) WHERE finished_at IS NULL;
CREATE INDEX finished_roots ON calls (finished_at) WHERE finished_at IS NOT NULL AND root IS NULL;

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

PRAGMA application_id = 1313108848;
PRAGMA user_version = 1;

INSERT INTO calls (seq, id, correlation_high, correlation_low, parent_incarnation, created_at, endpoint, function, version, state,
  due_at, attempt, crashes, incarnation, delivered, min_results, max_results, has_large_input, finished_at, status)
VALUES
  (1, '01900000000000000000000000000001', 0, 0, 0, 1750000000000, 'bridge://local', 'Publisher.publish', '', 3,
    1750000000000, 0, 0, 1, 0, 0, 0, 0, 1750000000001, 1),
  (2, '01900000000000000000000000000002', 0, 0, 0, 1750000000000, 'bridge://local', 'Publisher.publish', '', 0,
    1750000000000, 1, 0, 1, 0, 0, 0, 0, NULL, NULL);
