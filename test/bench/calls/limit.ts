import { join } from 'node:path';
import { loadDriver } from '../../../lib/scheduler/stores/sqlite/driver.choice.js';
import type { SqliteConnection } from '../../../lib/scheduler/stores/sqlite/driver.js';
import { childId } from '../../../lib/scheduler/core/ids.js';
import { SqliteStore } from '../../../lib/scheduler/stores/index.js';
import { finished, idOf, rootCall, stringInput } from '../../contract/calls.js';
import { median, repeat, timed } from './measure.js';

const CALLS = 10_000;
const IN_A_TRANSACTION = 1_000;

async function withTables<T>(
  folder: string,
  name: string,
  use: (connection: SqliteConnection) => Promise<T>,
): Promise<T> {
  const path = join(folder, name);
  const store = new SqliteStore(path);
  await store.open();
  // Rows of each kind are there, so that the tables are not empty.
  await store.commit([rootCall(idOf(1)), rootCall(idOf(2)), finished(idOf(2))]);
  await store.close();
  const connection = (await loadDriver(undefined)).open(path);
  connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  try {
    return await use(connection);
  } finally {
    connection.close();
  }
}

/**
 * The store's limit, in calls per second: a bare loop that inserts and finishes the rows of trivial calls, with the indexes
 * that the store has, in transactions of 1,000.
 */
export function storeLimit(folder: string): Promise<number> {
  return withTables(folder, 'limit.db', async (connection) => {
    const input = Buffer.from(stringInput('x').value);
    const insert = connection.prepare(
      `INSERT INTO calls (seq, id, root, parent, correlation_high, correlation_low, parent_incarnation, created_at, expires_at,
         endpoint, function, version, has_large_input, input, state, due_at, attempt, crashes, incarnation, delivered,
         min_results, max_results, wake_at, cancel_by)
       VALUES (?, ?, NULL, NULL, 0, 0, 0, ?, NULL, 'bridge://local', 'trivial', '', 0, ?, 0, ?, 0, 0, 1, 0, 0, 0, NULL, NULL)`,
    );
    const finish = connection.prepare(
      'UPDATE calls SET state = 3, status = 1, finished_at = ?, inbox = 0, result = ? WHERE id = ? AND finished_at IS NULL',
    );
    let seq = 1_000;
    const times = await repeat(3, () =>
      timed(() => {
        for (let start = 0; start < CALLS; start += IN_A_TRANSACTION) {
          const ids = Array.from({ length: IN_A_TRANSACTION }, () => idOf(seq++));
          transaction(connection, () => ids.forEach((id, n) => insert.run(seq + n, id, Date.now(), input, Date.now())));
          transaction(connection, () => ids.forEach((id) => finish.run(Date.now(), input, id)));
          seq += IN_A_TRANSACTION;
        }
      }),
    );
    return CALLS / (median(times) / 1_000);
  });
}

/** What a step of a sequence writes, in bytes: the input and the result of the call, and the round of its caller's journal. */
const STEP = { input: 53, result: 95, round: 95 };

/** Makes that many commits, one after the other; returns the milliseconds of one. */
export type BareCommits = (count: number) => Promise<number>;

/**
 * Hands over bare commits of the rows of such a step: a finished call, with an id like that of a child, and the caller's
 * progress and next round.
 */
export function withBareCommits<T>(folder: string, use: (commits: BareCommits) => Promise<T>): Promise<T> {
  return withTables(folder, 'commit.db', (connection) => {
    const input = Buffer.alloc(STEP.input, 1);
    const result = Buffer.alloc(STEP.result, 1);
    const round = Buffer.alloc(STEP.round, 1);
    const insert = connection.prepare(
      `INSERT INTO calls (seq, id, root, parent, correlation_high, correlation_low, parent_incarnation, created_at, endpoint,
         function, version, has_large_input, input, state, due_at, attempt, crashes, incarnation, delivered, min_results,
         max_results, status, finished_at, inbox, result)
       VALUES (?, ?, ?, ?, 1, ?, 1, ?, 'local:', 'trivial', '', 0, ?, 3, ?, 0, 0, 1, 0, 0, 0, 1, ?, ?, ?)`,
    );
    const progress = connection.prepare(
      'UPDATE calls SET journal_bytes = ?, journal_digest = ?, state = 1, delivered = ? WHERE id = ? AND finished_at IS NULL',
    );
    const append = connection.prepare('INSERT INTO journals (call, n, bytes) SELECT seq, ?, ? FROM calls WHERE id = ?');
    const root = idOf(1);
    let seq = 100;
    return use(async (count) => {
      const ids = Array.from({ length: count }, (_, n) => childId(root, root, 1, BigInt(seq + n)));
      const ms = await timed(() => {
        for (const id of ids) {
          seq += 1;
          const now = Date.now();
          transaction(connection, () => {
            insert.run(seq, id, root, root, seq, now, input, now, now, seq, result);
            progress.run(seq * STEP.round, seq, seq, root);
            append.run(seq * STEP.round, round, root);
          });
        }
      });
      return ms / count;
    });
  });
}

function transaction(connection: SqliteConnection, action: () => void): void {
  connection.exec('BEGIN IMMEDIATE');
  action();
  connection.exec('COMMIT');
}
