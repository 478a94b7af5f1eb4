import { StoreCorruptError, StoreOutdatedError } from '../../store.js';
import type { Connection } from './connection.js';
import { isSchemaMissing } from './errors.js';

/** What brings the tables from one version to the next. Never change one that was released: add another. */
const MIGRATIONS: readonly ((schema: string) => string)[] = [
  firstVersion,
  registrations,
  fairClaims,
  branches,
  sharedKeys,
  knownServers,
  sharedSlots,
  lists,
  setAside,
];

export const SCHEMA_VERSION = MIGRATIONS.length;

/**
 * One row for each call. `seq` is the order of creation; `parent` is null for roots. Until a call has ended, `owner` is the
 * process that has it, null for none: all unfinished calls of a tree have the same one. A correlation id has 64 unsigned
 * bits, which are kept in a signed number.
 *
 * What changes from run to run is in no index, and pages have room for another version of their rows, so that progress
 * costs one row and no index entry (a heap-only tuple). Payloads stay in the row while they are small; larger ones are in
 * the table's TOAST, where they are not written again with the row. Journals have a table of their own, so that
 * what is appended costs what it is long.
 *
 * `running` and `waiting` may be lost with the machine: they are unlogged.
 */
function firstVersion(schema: string): string {
  return `
  CREATE TABLE ${schema}.processes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    runs boolean NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL,
    -- The number of the last commit, written with it: tells a process whose connection broke whether that was done.
    commits bigint NOT NULL DEFAULT 0,
    -- It was closed, or found dead. Nothing that it commits counts from then on.
    ended_at timestamptz
  ) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);

  CREATE TABLE ${schema}.calls (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    root text COLLATE "C" NOT NULL,
    parent text COLLATE "C",
    correlation bigint NOT NULL,
    parent_incarnation bigint NOT NULL,
    created_at double precision NOT NULL,
    expires_at double precision,
    owner bigint,
    endpoint text COLLATE "C" NOT NULL,
    function text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    due_at double precision NOT NULL,
    wake_at double precision,
    cancel_by double precision,
    incarnation bigint NOT NULL,
    journal_digest bigint NOT NULL,
    finished_at double precision,
    attempt integer NOT NULL,
    crashes integer NOT NULL,
    delivered integer NOT NULL,
    min_results integer NOT NULL,
    max_results integer NOT NULL,
    journal_bytes integer NOT NULL,
    inbox integer NOT NULL,
    status integer,
    priority smallint NOT NULL,
    state smallint NOT NULL,
    journal_kind smallint NOT NULL,
    input bytea,
    result bytea
  ) WITH (fillfactor = 70, toast_tuple_target = 256, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
  ALTER TABLE ${schema}.calls ALTER input SET STORAGE EXTERNAL, ALTER result SET STORAGE EXTERNAL;
  CREATE INDEX children ON ${schema}.calls (root, parent) WHERE parent IS NOT NULL;
  CREATE INDEX unfinished_roots ON ${schema}.calls (owner, priority DESC, seq) WHERE finished_at IS NULL AND parent IS NULL;
  CREATE INDEX unfinished_children ON ${schema}.calls (owner, root) WHERE finished_at IS NULL AND parent IS NOT NULL;
  CREATE INDEX finished_roots ON ${schema}.calls (finished_at) WHERE finished_at IS NOT NULL AND parent IS NULL;

  -- What was appended to the journal of a call; it ends at that many bytes of the journal then.
  CREATE TABLE ${schema}.journals (
    call bigint NOT NULL,
    ends_at integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (call, ends_at)
  ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
  ALTER TABLE ${schema}.journals ALTER bytes SET STORAGE EXTERNAL;

  -- Which calls are being run, for the count of crashes.
  CREATE UNLOGGED TABLE ${schema}.running (
    call text COLLATE "C" PRIMARY KEY,
    process bigint NOT NULL
  ) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);
  CREATE INDEX running_process ON ${schema}.running (process);

  -- Which process wants to hear of the end of a call that another one has.
  CREATE UNLOGGED TABLE ${schema}.waiting (
    call text COLLATE "C" NOT NULL,
    process bigint NOT NULL,
    PRIMARY KEY (call, process)
  ) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

  -- Calls that are to be cancelled by the process that has them.
  CREATE TABLE ${schema}.cancellations (call text COLLATE "C" PRIMARY KEY);
  `;
}

/** Which functions, in which versions, a process runs, with the limits that it declares for them: null where it declares none. */
function registrations(schema: string): string {
  return `
  CREATE TABLE ${schema}.registrations (
    process bigint NOT NULL,
    endpoint text COLLATE "C" NOT NULL,
    function text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    runs integer,
    per_key integer,
    PRIMARY KEY (endpoint, function, version, process)
  ) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
  CREATE INDEX registrations_process ON ${schema}.registrations (process);
  `;
}

/**
 * The roots that a claim looks for are found by their function and priority, whoever had them: nobody's have the owner 0 in
 * the index.
 */
function fairClaims(schema: string): string {
  return `
  CREATE INDEX unfinished_roots_by_function ON ${schema}.calls (coalesce(owner, 0), endpoint, function, priority DESC, seq)
    WHERE finished_at IS NULL AND parent IS NULL;
  DROP INDEX ${schema}.unfinished_roots;
  `;
}

/**
 * Calls that have their key, and those that wait for it: a line for each key of a function. A call that has ended, or is
 * one of another function by now, is in none, whatever the table says.
 */
function sharedKeys(schema: string): string {
  return `
  CREATE TABLE ${schema}.keys (
    call text COLLATE "C" PRIMARY KEY,
    endpoint text COLLATE "C" NOT NULL,
    function text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY,
    process bigint NOT NULL,
    holds boolean NOT NULL DEFAULT false
  ) WITH (fillfactor = 70, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);
  CREATE INDEX key_lines ON ${schema}.keys (endpoint, function, key, place);
  `;
}

/**
 * `branch` is the call that a call's branch begins with, null for the root's branch: all unfinished calls of a branch have
 * the same owner. `head` calls begin one. An `inbox` below 0 is a result that the owner of the parent has yet to place.
 * `code` is the version of the function that wrote the journal.
 */
function branches(schema: string): string {
  return `
  ALTER TABLE ${schema}.calls
    ADD COLUMN branch text COLLATE "C",
    ADD COLUMN code text COLLATE "C",
    ADD COLUMN head boolean NOT NULL GENERATED ALWAYS AS (parent IS NULL OR branch IS NOT DISTINCT FROM id) STORED;
  DROP INDEX ${schema}.unfinished_roots_by_function, ${schema}.unfinished_children;
  CREATE INDEX unfinished_heads ON ${schema}.calls (coalesce(owner, 0), endpoint, function, priority DESC, seq)
    WHERE finished_at IS NULL AND head;
  CREATE INDEX expiring_heads ON ${schema}.calls (expires_at) WHERE finished_at IS NULL AND head AND expires_at IS NOT NULL;
  CREATE INDEX unfinished_members ON ${schema}.calls (owner, root) WHERE finished_at IS NULL AND NOT head;
  CREATE INDEX unfinished_branches ON ${schema}.calls (branch) WHERE finished_at IS NULL AND branch IS NOT NULL;
  CREATE INDEX unplaced_results ON ${schema}.calls (parent) WHERE inbox < 0;
  `;
}

/** What each process has of the runs that a function may have, and what it wants of them. Rows of the dead count for nothing. */
function sharedSlots(schema: string): string {
  return `
  CREATE TABLE ${schema}.slots (
    endpoint text COLLATE "C" NOT NULL,
    function text COLLATE "C" NOT NULL,
    process bigint NOT NULL,
    slots integer NOT NULL,
    wanted integer NOT NULL,
    turn bigint NOT NULL,
    PRIMARY KEY (endpoint, function, process)
  ) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);
  `;
}

/**
 * Which server, by its start, each process has found when it connected, and since when: one that has taken the place of
 * another has been running all along, and nobody could renew a lease before it was promoted.
 */
function knownServers(schema: string): string {
  return `
  ALTER TABLE ${schema}.processes
    ADD COLUMN server timestamptz NOT NULL DEFAULT pg_postmaster_start_time(),
    ADD COLUMN server_since timestamptz NOT NULL DEFAULT clock_timestamp();
  `;
}

/**
 * What lists find calls by: those that have ended in the one index or the other, and the unfinished ones in those that are
 * there for claims. The numbers are negated, which keeps the planner from looking for few calls in the order of all.
 */
function lists(schema: string): string {
  return `
  CREATE INDEX ended_roots ON ${schema}.calls (function, status, (-seq)) WHERE finished_at IS NOT NULL AND parent IS NULL;
  CREATE INDEX ended_children ON ${schema}.calls (function, status, (-seq)) WHERE finished_at IS NOT NULL AND parent IS NOT NULL;
  DROP INDEX ${schema}.unfinished_members;
  CREATE INDEX unfinished_members ON ${schema}.calls (coalesce(owner, 0), function, seq) WHERE finished_at IS NULL AND NOT head;
  `;
}

/**
 * What the calls of a key are found by. Those that are set aside until fewer wait for their key have the owner -1, which is
 * nobody's number.
 */
function setAside(schema: string): string {
  return `
  CREATE INDEX keyed_calls ON ${schema}.calls (endpoint, function, key, coalesce(owner, 0), seq)
    WHERE finished_at IS NULL AND key <> '';
  CREATE INDEX calls_set_aside ON ${schema}.calls (endpoint, function, key, seq) WHERE finished_at IS NULL AND owner = -1;
  `;
}

/**
 * Makes the tables, or brings them to the version of this package. Of several processes that start at the same time, one
 * does it and the others wait for it.
 */
export async function migrateSchema(connection: Connection, schema: string, store: string): Promise<void> {
  if ((await readVersion(connection, schema, store)) === SCHEMA_VERSION) return;
  // Before the transaction: within one, a session does not always see which tables others have made.
  const lock = [`nestjs-dispatch ${schema}`];
  await connection.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', lock);
  await connection.query('BEGIN');
  try {
    await migrateFrom(connection, schema, await readVersion(connection, schema, store));
    await connection.query('COMMIT');
  } catch (error) {
    if (!connection.isLost) await connection.query('ROLLBACK');
    throw error;
  } finally {
    if (!connection.isLost) await connection.query('SELECT pg_advisory_unlock(hashtextextended($1, 0))', lock);
  }
}

async function migrateFrom(connection: Connection, schema: string, version: number | undefined): Promise<void> {
  if (version === undefined) {
    await connection.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    await connection.query(`CREATE TABLE ${schema}.store_version (version integer NOT NULL)`);
  }
  for (const migration of MIGRATIONS.slice(version ?? 0)) await connection.script(migration(schema));
  await connection.query(`DELETE FROM ${schema}.store_version`);
  await connection.query(`INSERT INTO ${schema}.store_version VALUES ($1)`, [SCHEMA_VERSION]);
}

/** @throws StoreOutdatedError when the tables are not there in the version of this package */
export async function checkSchema(connection: Connection, schema: string, store: string): Promise<void> {
  const version = await readVersion(connection, schema, store);
  if (version === SCHEMA_VERSION) return;
  const found = version === undefined ? 'it has no tables yet' : `its tables have version ${version}`;
  throw new StoreOutdatedError(
    `The store ${store} is not ready: ${found}, and version ${SCHEMA_VERSION} is needed. Run 'npx nestjs-dispatch migrate' or ` +
      `migrate(url) of nestjs-dispatch/scheduler, or start an application whose store has the option migrate at 'auto'.`,
  );
}

/** Undefined: there are no tables of ours. */
async function readVersion(connection: Connection, schema: string, store: string): Promise<number | undefined> {
  const { rows } = await connection.query('SELECT to_regclass($1)::text, to_regclass($2)::text', [
    `${schema}.store_version`,
    `${schema}.calls`,
  ]);
  const [versions, calls] = rows[0] ?? [];
  if (versions === null && calls !== null) {
    throw new StoreCorruptError(
      `The schema ${schema} of ${store} holds a table 'calls' of another application. Choose another schema: ?schema=name in the store's address.`,
    );
  }
  if (versions === null) return undefined;
  const version = await versionOf(connection, schema);
  if (version !== undefined && version > SCHEMA_VERSION) {
    throw new StoreCorruptError(
      `A newer version of this package made the tables of the store ${store}: they have version ${version}, this one ` +
        `knows ${SCHEMA_VERSION}. Upgrade the package.`,
    );
  }
  return version;
}

async function versionOf(connection: Connection, schema: string): Promise<number | undefined> {
  try {
    const { rows } = await connection.query(`SELECT version FROM ${schema}.store_version`);
    return rows[0] === undefined ? undefined : Number(rows[0][0]);
  } catch (error) {
    if (isSchemaMissing(error)) return undefined;
    throw error;
  }
}
