import { CALL_COLUMNS, SET_ASIDE } from './rows.js';
import type { Statement } from './connection.js';
import { distinct } from './distinct.js';
import { KEY_GIVEN } from './key.lines.js';
import { SLOTS_CHANGED } from './slot.shares.js';

type Sql = Readonly<Record<keyof ReturnType<typeof sqlOf>, string>>;
export type Statements = Readonly<Record<keyof Sql, Statement>>;

const columns = (table: string): string => CALL_COLUMNS.map((column) => `${table}.${column}`).join(', ');

/** Inputs up to so many bytes come with the calls that are claimed. */
const SMALL_INPUT = 4_096;

/**
 * The calls `call` that are named in `made`, each looked up. With an equality the planner would now and then go through all
 * calls, in the order of an index, and through all that is named for each: it takes the conditions beside it for selective.
 */
const IS_MADE = 'call.id = ANY (ARRAY[made.id])';

/**
 * The calls $1, `child`, and the `parent` of each, looked up one by one. Joined, the planner would now and then go through
 * all children, where its statistics are of a time when there were none.
 */
const endedBelow = (calls: string): string => `
  unnest($1::text[]) AS ended (id)
  CROSS JOIN LATERAL (SELECT seq, parent, inbox FROM ${calls} WHERE id = ended.id OFFSET 0) AS child
  CROSS JOIN LATERAL (SELECT owner, finished_at FROM ${calls} WHERE id = child.parent OFFSET 0) AS parent`;

/** The unfinished calls of the process $1. Those that begin branches have an index of their own. */
const ofOwner = (calls: string): string => `
  SELECT seq FROM ${calls} WHERE finished_at IS NULL AND head AND coalesce(owner, 0) = $1
  UNION ALL SELECT seq FROM ${calls} WHERE finished_at IS NULL AND NOT head AND coalesce(owner, 0) = $1`;

/** The unfinished calls of the branches $2 for which this holds, found by its index for each branch, whatever the planner thinks. */
const ofBranches = (calls: string, which: string): string => `
  SELECT seq FROM unnest($2::text[]) AS taken (head) CROSS JOIN LATERAL (
    SELECT seq FROM ${calls} AS call WHERE call.finished_at IS NULL AND ${which} OFFSET 0) AS call`;

/**
 * The unfinished calls in the branches that begin with $2. What is looked for by such a list has it as an array, so that it
 * is made once, and each call is found by its number: joined, the list is made again for each call of the table, or the
 * table is read.
 */
const inBranches = (calls: string): string => `
  ${ofBranches(calls, 'call.id = taken.head')}
  UNION ALL ${ofBranches(calls, 'call.branch = taken.head AND call.branch IS NOT NULL AND NOT call.head')}
  UNION ALL ${ofBranches(calls, 'call.root = taken.head AND call.parent IS NOT NULL AND call.branch IS NULL')}`;

/** A process that has not been closed, nor found dead. */
const isAlive = (processes: string, process: string): string =>
  `EXISTS (SELECT FROM ${processes} AS alive WHERE alive.id = ${process} AND alive.ended_at IS NULL)`;

/** Only a call with a state has children that matter to it: most have none, and nobody has to look for any. */
const HAS_STATE = '(parent.journal_bytes > 0 OR parent.min_results > 0)';

/** The children for which this holds of parents of the process $1, by the parents' numbers; found by their index for each. */
const childrenOf = (calls: string, parents: string, which: string): string => `
  ${calls} AS parent CROSS JOIN LATERAL (
    SELECT * FROM ${calls} AS child WHERE child.root = parent.root AND child.parent = parent.id AND ${which} OFFSET 0) AS child
  WHERE parent.owner = $1 AND parent.seq = ANY (ARRAY(${parents})) AND ${HAS_STATE}`;

const IS_UNDELIVERED =
  'child.finished_at IS NOT NULL AND child.inbox > parent.delivered AND child.parent_incarnation = parent.incarnation';

/** Results that parents, by their numbers, have not taken in. */
const undeliveredTo = (calls: string, parents: string): string => `
  SELECT child.id, parent.id, child.correlation, child.inbox FROM ${childrenOf(calls, parents, IS_UNDELIVERED)}
  ORDER BY parent.seq, child.inbox`;

interface Tables {
  readonly calls: string;
  readonly processes: string;
  readonly registrations: string;
}

/** What a version has recorded goes to a process with that version, while one is there: whether it is another than $2. */
const isElsewhere = ({ registrations, processes }: Tables): string => {
  const known = `
    SELECT FROM ${registrations} AS registration
    WHERE registration.endpoint = call.endpoint AND registration.function = call.function AND registration.version = call.code`;
  return `call.journal_bytes > 0 AND call.code IS NOT NULL
    AND EXISTS (${known} AND registration.process IN (SELECT id FROM ${processes} WHERE ended_at IS NULL))
    AND NOT EXISTS (${known} AND registration.process = $2)`;
};

/** The parts of a level are its whole, without a rest: each begins where the one before ended. */
const FAIR_QUOTA = 'floor(level * until / parts + 1e-6) - floor(level * (until - part) / parts + 1e-6)';

/** Sorts behind every name of a function. */
const LAST_NAME = '~';

/** The calls, named `call`, that branches begin with, and who has them: 0 for nobody. As their index has it. */
const IS_HEAD = 'finished_at IS NULL AND head';
const OWNER = 'coalesce(call.owner, 0)';

/** Who has, or had, calls that no living process has. The index tells them by a jump for each process. */
const formerOwners = ({ calls, processes }: Tables): string => `
    ${distinct(calls, 'owned', IS_HEAD, { owner: 'coalesce(owner, 0)' })}, former (owner) AS MATERIALIZED (
      SELECT owner FROM owned WHERE owner = 0 OR owner IN (SELECT id FROM ${processes} WHERE ended_at IS NOT NULL)
    )`;

/**
 * Branches that no living process has, fairly: of those that are there, higher priorities get nine tenths; within them
 * endpoints get equal parts, and so do the functions of each endpoint. Another process that claims at the same time gets
 * others.
 *
 * $1: how many. $2: the process. $3: endpoints of which only the functions $4, $5 are claimed, and at most $6 of each.
 *
 * What there is, the index tells by a jump for each function and priority, so that it costs the same however many calls
 * wait.
 *
 * @param quota how many of the branches of a function and priority
 */
function claimHeads(tables: Tables, quota: string): string {
  const { calls } = tables;
  return `
    WITH RECURSIVE ${formerOwners(tables)}, met (owner, endpoint, function) AS (
      SELECT former.owner, first.endpoint, first.function FROM former CROSS JOIN LATERAL (
        SELECT endpoint, function FROM ${calls} AS call WHERE ${IS_HEAD} AND ${OWNER} = former.owner
        ORDER BY endpoint, function LIMIT 1) AS first
      UNION ALL
      SELECT met.owner, next.endpoint, next.function FROM met CROSS JOIN LATERAL (
        SELECT endpoint, function FROM ${calls} AS call WHERE ${IS_HEAD} AND ${OWNER} = met.owner
          AND (endpoint, function) >
            (met.endpoint, CASE WHEN met.endpoint = ANY ($3::text[]) THEN '${LAST_NAME}' ELSE met.function END)
        ORDER BY endpoint, function LIMIT 1) AS next
    ), here (owner, endpoint, function, most) AS (
      SELECT owner, endpoint, function, $1::int FROM met WHERE endpoint <> ALL ($3)
      UNION ALL
      SELECT former.owner, known.* FROM former CROSS JOIN unnest($4::text[], $5::text[], $6::int[]) AS known
    ), lanes (owner, endpoint, function, most, priority) AS (
      SELECT here.*, first.priority FROM here CROSS JOIN LATERAL (
        SELECT priority FROM ${calls} AS call WHERE ${IS_HEAD} AND ${OWNER} = here.owner
          AND endpoint = here.endpoint AND function = here.function
        ORDER BY priority DESC LIMIT 1) AS first
      UNION ALL
      SELECT lanes.owner, lanes.endpoint, lanes.function, lanes.most, next.priority FROM lanes CROSS JOIN LATERAL (
        SELECT priority FROM ${calls} AS call WHERE ${IS_HEAD} AND ${OWNER} = lanes.owner
          AND endpoint = lanes.endpoint AND function = lanes.function AND priority < lanes.priority
        ORDER BY priority DESC LIMIT 1) AS next
    ), leveled AS (
      SELECT *, priority = max(priority) OVER () AS is_highest, random() AS turn
      FROM lanes
    ), weighed AS (
      SELECT *, 1.0 / count(*) OVER (PARTITION BY is_highest, endpoint) AS part FROM leveled
    ), split AS MATERIALIZED (
      SELECT floor($1::int / 10.0 + random()) AS lower
    ), shared AS (
      SELECT weighed.*,
        CASE WHEN NOT is_highest THEN split.lower WHEN bool_or(NOT is_highest) OVER () THEN $1 - split.lower ELSE $1 END AS level,
        sum(part) OVER (PARTITION BY is_highest) AS parts,
        sum(part) OVER (PARTITION BY is_highest ORDER BY turn) AS until
      FROM weighed, split
    ), ordered AS (
      SELECT *, least(most, ${quota})::int AS quota FROM shared ORDER BY priority DESC, turn
    )
    SELECT found.id, ordered.endpoint, ordered.function, found.key FROM ordered CROSS JOIN LATERAL (
      SELECT id, key FROM ${calls} AS call WHERE ${IS_HEAD} AND ${OWNER} = ordered.owner
        AND endpoint = ordered.endpoint AND function = ordered.function AND priority = ordered.priority
        AND NOT (${isElsewhere(tables)})
      ORDER BY seq LIMIT ordered.quota FOR UPDATE OF call SKIP LOCKED) AS found
    LIMIT $1`;
}

/**
 * Functions that no living process has, and of which calls wait. The index tells them by a jump for each function that has
 * calls which nobody has.
 *
 * $1: the process, which has to be the oldest. $2: endpoints of which processes say which functions they have, beside those
 * that are registered. $3: how old one of the calls has to be, in milliseconds. $4: how many functions. $5: up to how many
 * calls of each are counted.
 */
function unserved(tables: Tables): string {
  const { calls, processes, registrations } = tables;
  const alive = `SELECT id FROM ${processes} WHERE ended_at IS NULL`;
  const isRegistered = `SELECT FROM ${registrations} AS known WHERE known.process IN (${alive}) AND known.endpoint = met.endpoint`;
  return `
    WITH RECURSIVE ${formerOwners(tables)}, met (owner, endpoint, function) AS (
      SELECT former.owner, first.endpoint, first.function FROM former CROSS JOIN LATERAL (
        SELECT endpoint, function FROM ${calls} AS call WHERE ${IS_HEAD} AND ${OWNER} = former.owner
        ORDER BY endpoint, function LIMIT 1) AS first
      WHERE $1 = (SELECT min(id) FROM ${processes} WHERE ended_at IS NULL)
      UNION ALL
      SELECT met.owner, next.endpoint, next.function FROM met CROSS JOIN LATERAL (
        SELECT endpoint, function FROM ${calls} AS call WHERE ${IS_HEAD} AND ${OWNER} = met.owner
          AND (endpoint, function) > (met.endpoint, met.function)
        ORDER BY endpoint, function LIMIT 1) AS next
    )
    SELECT met.endpoint, met.function, least(count(*), $5) FROM met CROSS JOIN LATERAL (
      SELECT created_at FROM ${calls} AS call
      WHERE ${IS_HEAD} AND ${OWNER} = met.owner AND endpoint = met.endpoint AND function = met.function LIMIT $5) AS waiting
    WHERE NOT EXISTS (${isRegistered} AND known.function = met.function)
      AND (met.endpoint = ANY ($2::text[]) OR EXISTS (${isRegistered}))
    GROUP BY met.endpoint, met.function
    HAVING min(waiting.created_at) < extract(epoch FROM clock_timestamp()) * 1000 - $3
    LIMIT $4`;
}

/** Branches whose results their parents, by their numbers, do not have. */
const branchesOf = (calls: string, parents: string): string => `
  SELECT child.id, parent.id, child.correlation, child.parent_incarnation
  FROM ${childrenOf(calls, parents, 'child.head AND (child.finished_at IS NULL OR child.inbox < 0)')}`;

/** What tells a process from those of other databases, as a text that no setting of a session changes. */
const START = '(extract(epoch FROM started_at) * 1000000)::bigint::text';

const ROOT_COLUMNS: ReadonlySet<string> = new Set([
  'id',
  'created_at',
  'expires_at',
  'free',
  'endpoint',
  'function',
  'version',
  'input',
  'due_at',
  'priority',
  'key',
]);

/** What is given of new calls, in the order of the parameters. */
const NEW_CALL = [
  ['id', 'text'],
  ['root', 'text'],
  ['parent', 'text'],
  ['correlation', 'bigint'],
  ['parent_incarnation', 'bigint'],
  ['created_at', 'float8'],
  ['expires_at', 'float8'],
  ['free', 'boolean'],
  ['endpoint', 'text'],
  ['function', 'text'],
  ['version', 'text'],
  ['input', 'bytea'],
  ['state', 'smallint'],
  ['due_at', 'float8'],
  ['attempt', 'int'],
  ['crashes', 'int'],
  ['incarnation', 'bigint'],
  ['delivered', 'int'],
  ['min_results', 'int'],
  ['max_results', 'int'],
  ['wake_at', 'float8'],
  ['cancel_by', 'float8'],
  ['priority', 'smallint'],
  ['key', 'text'],
  ['journal_bytes', 'int'],
  ['journal_digest', 'bigint'],
  ['journal_kind', 'smallint'],
  ['finished_at', 'float8'],
  ['status', 'int'],
  ['inbox', 'int'],
  ['result', 'bytea'],
  ['branch', 'text'],
  ['code', 'text'],
] as const;

/** What is given of new roots that have not begun; all else of them is the same. */
const NEW_ROOT = NEW_CALL.filter(([column]) => ROOT_COLUMNS.has(column));

/** Makes calls of arrays, which are the parameters from $2 on. The cast makes an array of a parameter. */
const insertInto = (calls: string, owner: string, cast: string): string => `
  INSERT INTO ${calls} (id, root, parent, correlation, parent_incarnation, created_at, expires_at, owner, endpoint,
    function, version, state, due_at, attempt, crashes, incarnation, delivered, min_results, max_results, wake_at,
    cancel_by, priority, key, journal_bytes, journal_digest, journal_kind, finished_at, status, inbox, input, result, branch, code)
  SELECT id, root, parent, correlation, parent_incarnation, created_at, expires_at, ${owner}, endpoint, function, version,
    state, due_at, attempt, crashes, incarnation, delivered, min_results, max_results, wake_at, cancel_by, priority, key,
    journal_bytes, journal_digest, journal_kind, finished_at, status, inbox, input, result, branch, code
  FROM ${madeOf(NEW_CALL, cast)}`;

/** Rows of arrays, which are the parameters from $2 on. */
const madeOf = (columns: typeof NEW_CALL | typeof NEW_ROOT, cast = ''): string => `
  unnest(${columns.map(([, type], index) => `$${index + 2}${cast}::${type}[]`).join(', ')})
  AS made (${columns.map(([column]) => column).join(', ')})`;

/** What a process that would like some work says to the one that has offered it, before how many calls. */
export const WANTED = 'wanted ';

/** What a process that has more than enough says before its number. */
export const OFFERED = 'offered ';

/** Locks of all keys together, and of all functions, so that a transaction does not need one for each. */
const LOCKS = 256;

/** How long new calls wait for others under the same ids, in milliseconds: all other commits of the process wait with them. */
const LONGEST_WAIT = 250;

/** Locks of all ids that are given: so many a transaction of the application has at most. */
const ID_LOCKS = 1024;

/** The rows of the keys that a statement is about. */
const ofKeys = (first: number): string => `
  (line.endpoint, line.function, line.key) IN (
    SELECT * FROM unnest($${first}::text[], $${first + 1}::text[], $${first + 2}::text[]))`;

/** So many calls that wait for the same key processes have at hand; the others are set aside. With less than half of them more are called up. */
const AT_HAND = 40;

/** Calls of a key that are set aside by one statement. */
const SET_ASIDE_AT_ONCE = 1_000;

/** The unfinished calls of a key, and those of them that are set aside: each has an index. */
const OF_LINE = 'call.endpoint = line.endpoint AND call.function = line.function AND call.key = line.key';
const IN_LINE = `call.finished_at IS NULL AND call.key <> '' AND ${OF_LINE}`;
const IS_SET_ASIDE = `finished_at IS NULL AND owner = ${SET_ASIDE}`;

/** Its delay is over: until then it waits for no key. */
const IS_DUE = 'call.due_at <= extract(epoch FROM clock_timestamp()) * 1000';

/** How many calls wait for the key of a `line` in processes, or are claimed next: counted up to what is enough. */
const atHand = (calls: string, keys: string, owners: string): string => `(
  SELECT count(*) FROM (
    SELECT FROM ${calls} AS call WHERE ${IN_LINE} AND ${OWNER} ${owners} AND ${IS_DUE}
      AND NOT EXISTS (SELECT FROM ${keys} AS place WHERE place.call = call.id AND place.holds)
    LIMIT ${AT_HAND}) AS known)`;

/** Makes those claimable that have been set aside for longest, of each key of which too few wait. They are found in `lines`. */
const callUp = (schema: string, calls: string, keys: string): string => `
  called AS (
    UPDATE ${calls} SET owner = NULL WHERE seq = ANY (ARRAY(
      SELECT found.seq FROM (
        SELECT line.*, ${atHand(calls, keys, '>= 0')} AS waiting FROM lines AS line
        WHERE (SELECT seq FROM ${calls} AS call WHERE ${IS_SET_ASIDE} AND ${OF_LINE} ORDER BY seq LIMIT 1) IS NOT NULL) AS line
      CROSS JOIN LATERAL (
        SELECT seq FROM ${calls} AS call WHERE ${IS_SET_ASIDE} AND ${OF_LINE} ORDER BY seq
        LIMIT CASE WHEN line.waiting < ${AT_HAND / 2} THEN ${AT_HAND} - line.waiting ELSE 0 END
        FOR UPDATE SKIP LOCKED) AS found))
    RETURNING id)
  SELECT pg_notify('${schema}_free', '') WHERE EXISTS (SELECT FROM called)`;

/** The functions that a statement is about. */
const ofFunctions = (first: number): string =>
  `(endpoint, function) IN (SELECT * FROM unnest($${first}::text[], $${first + 1}::text[]))`;

/** Every statement of the store, for the tables of a schema. Parameters are arrays where the name is a plural. */
function sqlOf(schema: string) {
  const [calls, journals, processes] = [`${schema}.calls`, `${schema}.journals`, `${schema}.processes`];
  const registrations = `${schema}.registrations`;
  const tables = { calls, processes, registrations };
  const [keys, slots] = [`${schema}.keys`, `${schema}.slots`];
  const [running, waiting, cancellations] = [`${schema}.running`, `${schema}.waiting`, `${schema}.cancellations`];
  const lockOfId = `hashtext('${schema} ids'), hashtext(made.id) & ${ID_LOCKS - 1}`;
  /** Calls of nobody, and of processes that are no more. */
  const isAnybodys = (owner: string): string =>
    `(${owner} IS NULL OR ${owner} = ${SET_ASIDE} OR ${owner} IN (SELECT process.id FROM ${processes} AS process WHERE process.ended_at IS NOT NULL))`;
  return {
    register: `
      INSERT INTO ${processes} (name, runs, lease_until) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 ms')
      RETURNING id, ${START}`,
    /** The first statement of each commit. No row: the process was found dead, and others may have its calls. */
    fence: `
      UPDATE ${processes} SET commits = $2, lease_until = clock_timestamp() + $3 * interval '1 ms'
      WHERE id = $1 AND ended_at IS NULL`,
    renew: `
      UPDATE ${processes} SET lease_until = clock_timestamp() + $2 * interval '1 ms' WHERE id = $1 AND ended_at IS NULL`,
    /** Waits for a commit of this process that the server may still be carrying out on a connection that broke. */
    lastCommit: `SELECT commits FROM ${processes} WHERE id = $1 FOR UPDATE`,
    endProcess: `UPDATE ${processes} SET ended_at = clock_timestamp() WHERE id = $1 AND ended_at IS NULL`,
    /** The process has found another server than before. */
    noteServer: `
      UPDATE ${processes} SET server = pg_postmaster_start_time(), server_since = clock_timestamp()
      WHERE id = $1 AND server <> pg_postmaster_start_time()`,
    /**
     * A process in the middle of a commit is alive. None could renew its lease before this server was up: that is known of
     * the time since the first of them found it.
     */
    endExpired: `
      UPDATE ${processes} SET ended_at = clock_timestamp()
      WHERE id IN (
        SELECT id FROM ${processes}
        WHERE ended_at IS NULL AND lease_until < clock_timestamp() AND id <> $1
          AND clock_timestamp() - $2 * interval '1 ms' > (
            SELECT min(server_since) FROM ${processes} WHERE server = pg_postmaster_start_time())
        FOR UPDATE SKIP LOCKED)
      RETURNING id, name`,
    isOldest: `SELECT $1 = (SELECT min(id) FROM ${processes} WHERE ended_at IS NULL)`,
    forgetEnded: `
      DELETE FROM ${processes} AS process
      WHERE ended_at < clock_timestamp() - interval '1 day'
        AND NOT EXISTS (SELECT FROM ${calls} WHERE coalesce(owner, 0) = process.id AND finished_at IS NULL AND head)
        AND NOT EXISTS (SELECT FROM ${calls} WHERE coalesce(owner, 0) = process.id AND finished_at IS NULL AND NOT head)`,
    /** Those of calls that have not ended are for whoever takes them over. */
    forgetMarks: `
      DELETE FROM ${running} AS mark
      WHERE NOT EXISTS (SELECT FROM ${processes} WHERE id = mark.process)
        OR NOT ${isAlive(processes, 'mark.process')}
          AND (SELECT call.finished_at FROM ${calls} AS call WHERE call.id = mark.call) IS NOT NULL`,
    forgetWaits: `
      DELETE FROM ${waiting} AS watch
      WHERE NOT ${isAlive(processes, 'watch.process')}`,
    forgetRegistrations: `
      DELETE FROM ${registrations} AS registration
      WHERE NOT ${isAlive(processes, 'registration.process')}`,

    unregister: `DELETE FROM ${registrations} WHERE process = $1`,
    registerFunctions: `
      INSERT INTO ${registrations} (process, endpoint, function, version, runs, per_key)
      SELECT $1, endpoint, function, version, runs, per_key
      FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::int[])
      AS made (endpoint, function, version, runs, per_key) ON CONFLICT DO NOTHING`,
    /** What other processes have, with the least that they declare. */
    registeredElsewhere: `
      SELECT endpoint, function, version, min(registration.runs), min(per_key)
      FROM ${registrations} AS registration JOIN ${processes} AS process ON process.id = registration.process
      WHERE process.ended_at IS NULL AND process.id <> $1 GROUP BY endpoint, function, version`,
    unserved: unserved(tables),
    tellFunctions: `SELECT pg_notify('${schema}_free', 'functions')`,
    others: `SELECT count(*) FROM ${processes} WHERE runs AND ended_at IS NULL AND id <> $1`,

    /** An insert waits for whoever is about to make a call with its id; and that may be a transaction of an application, open for long. */
    waitShortly: `SET LOCAL lock_timeout = ${LONGEST_WAIT}`,
    wait: 'SET LOCAL lock_timeout TO DEFAULT',
    create: `${insertInto(calls, 'CASE WHEN NOT free THEN $1::bigint END', '')} ON CONFLICT (id) DO NOTHING`,
    /** The same for roots that have not begun, which most calls are when they are made. */
    createRoots: `
      INSERT INTO ${calls} (id, root, correlation, parent_incarnation, created_at, expires_at, owner, endpoint, function,
        version, state, due_at, attempt, crashes, incarnation, delivered, min_results, max_results, priority, key,
        journal_bytes, journal_digest, journal_kind, inbox, input)
      SELECT id, id, 0, 0, created_at, expires_at, CASE WHEN NOT free THEN $1::bigint END, endpoint, function, version, 0,
        due_at, 0, 0, 1, 0, 0, 0, priority, key, 0, 0, 0, 0, input
      FROM ${madeOf(NEW_ROOT)} ON CONFLICT (id) DO NOTHING`,
    /**
     * The first statement in a transaction of the application. The number of the transaction is its own for good: the next
     * statement finds it there, or the transaction was over. A read-only one, as are all on a standby, gets none.
     */
    join: `
      SELECT json_build_object(
        'transaction', CASE WHEN current_setting('transaction_read_only') = 'off' THEN pg_current_xact_id()::text END,
        'isHere', EXISTS (SELECT FROM ${processes} WHERE id = $1::text::bigint AND ${START} = $2::text),
        'known', (
          SELECT json_agg(json_build_object('id', id, 'endpoint', endpoint, 'function', function,
            'incarnation', incarnation, 'input', encode(input, 'hex')))
          FROM ${calls} WHERE id = ANY ($3::text::text[])),
        'reserved', (
          SELECT count(lock) FROM (
            SELECT pg_advisory_xact_lock_shared(${lockOfId}) AS lock FROM unnest($4::text::text[]) AS made (id)) AS locks)
        )::text AS answer`,
    /** Ids that open transactions of applications have joined with: found by locks, which are let go at once. */
    reserved: `
      SELECT id FROM unnest($1::text[]) AS made (id) WHERE NOT pg_try_advisory_xact_lock(${lockOfId})`,
    /**
     * Writes nothing outside of the transaction $1. Who waits for work hears of it once that is committed. All parameters
     * are texts: a library that asks the server for their types would want arrays of its own kind for arrays.
     */
    createIn: `
      WITH made AS (
        ${insertInto(calls, 'NULL', '::text')}
        WHERE pg_current_xact_id_if_assigned()::text = $1::text
        ON CONFLICT (id) DO NOTHING RETURNING id)
      SELECT json_build_object(
        'isIn', pg_current_xact_id_if_assigned()::text IS NOT DISTINCT FROM $1::text,
        'made', (SELECT json_agg(id) FROM made),
        'told', CASE WHEN EXISTS (SELECT FROM made) THEN pg_notify('${schema}_free', '')::text END)::text AS answer`,
    /** Progress, the end of the journal, and the end of the call. Columns of which nothing is given stay as they are. */
    change: `
      UPDATE ${calls} AS call SET
        owner = CASE WHEN NOT made.free THEN $1::bigint END,
        state = coalesce(made.state, call.state),
        due_at = coalesce(made.due_at, call.due_at),
        attempt = coalesce(made.attempt, call.attempt),
        crashes = coalesce(made.crashes, call.crashes),
        incarnation = coalesce(made.incarnation, call.incarnation),
        delivered = coalesce(made.delivered, call.delivered),
        min_results = coalesce(made.min_results, call.min_results),
        max_results = coalesce(made.max_results, call.max_results),
        wake_at = CASE WHEN made.due_at IS NULL THEN call.wake_at ELSE made.wake_at END,
        cancel_by = CASE WHEN made.due_at IS NULL THEN call.cancel_by ELSE made.cancel_by END,
        journal_bytes = coalesce(made.journal_bytes, call.journal_bytes),
        journal_digest = coalesce(made.journal_digest, call.journal_digest),
        journal_kind = coalesce(made.journal_kind, call.journal_kind),
        code = CASE WHEN made.journal_bytes IS NULL THEN call.code ELSE made.code END,
        finished_at = made.finished_at,
        status = made.status,
        inbox = made.inbox,
        result = made.result
      FROM unnest($2::text[], $3::boolean[], $4::int[], $5::boolean[], $6::smallint[], $7::float8[], $8::int[], $9::int[],
        $10::bigint[], $11::int[], $12::int[], $13::int[], $14::float8[], $15::float8[], $16::int[], $17::bigint[],
        $18::smallint[], $19::float8[], $20::int[], $21::int[], $22::bytea[], $23::text[])
      AS made (id, needs_unfinished, needs_end, free, state, due_at, attempt, crashes, incarnation, delivered, min_results,
        max_results, wake_at, cancel_by, journal_bytes, journal_digest, journal_kind, finished_at, status, inbox, result, code)
      WHERE ${IS_MADE}
        AND CASE WHEN call.finished_at IS NULL THEN call.owner = $1 ELSE NOT made.needs_unfinished END
        AND (made.needs_end IS NULL OR call.journal_bytes = made.needs_end AND call.journal_kind <> 2)`,
    /** The same for calls that end, and of which nothing else has changed since they were written. */
    finish: `
      UPDATE ${calls} AS call SET
        state = made.state, journal_bytes = 0, journal_digest = 0, journal_kind = 0, code = NULL,
        finished_at = made.finished_at, status = made.status, inbox = made.inbox, result = made.result
      FROM unnest($2::text[], $3::smallint[], $4::float8[], $5::int[], $6::int[], $7::bytea[])
      AS made (id, state, finished_at, status, inbox, result)
      WHERE ${IS_MADE} AND call.finished_at IS NULL AND call.owner = $1`,
    retarget: `
      UPDATE ${calls} AS call
      SET endpoint = made.endpoint, function = made.function, version = made.version, input = made.input
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[]) AS made (id, endpoint, function, version, input)
      WHERE ${IS_MADE}`,
    clearJournals: `
      DELETE FROM ${journals} AS part USING unnest($1::text[]) AS made (id), ${calls} AS call
      WHERE ${IS_MADE} AND call.journal_bytes > 0 AND part.call = call.seq`,
    addToJournals: `
      INSERT INTO ${journals} (call, ends_at, bytes)
      SELECT call.seq, made.ends_at, made.bytes
      FROM unnest($1::text[], $2::int[], $3::bytea[]) AS made (id, ends_at, bytes) JOIN ${calls} AS call ON ${IS_MADE}`,
    purge: `DELETE FROM ${calls} WHERE id = ANY ($1::text[]) AND finished_at IS NOT NULL`,
    firstUnfinished: `SELECT id FROM ${calls} WHERE id = ANY ($1::text[]) AND finished_at IS NULL LIMIT 1`,
    /** What a refusal is about. */
    inspect: `
      SELECT id, finished_at IS NOT NULL, owner, journal_bytes, journal_kind FROM ${calls} WHERE id = ANY ($1::text[])`,
    /** Processes that wait for these ends, of other processes' calls, hear of them. */
    tellWaiting: `
      SELECT pg_notify('${schema}_' || process, call) FROM ${waiting} WHERE call = ANY ($1::text[])`,
    /** The same for processes whose calls get results of these branches. */
    tellParents: `
      SELECT pg_notify('${schema}_' || parent.owner, 'branches') FROM ${endedBelow(calls)}
      WHERE child.inbox < 0 AND parent.owner IS NOT NULL GROUP BY parent.owner`,
    /** Of these results, those whose parents have ended. */
    dropUnwanted: `
      UPDATE ${calls} SET inbox = 0 WHERE seq = ANY (ARRAY(
        SELECT child.seq FROM ${endedBelow(calls)} WHERE child.inbox < 0 AND parent.finished_at IS NOT NULL))`,
    dropResultsFor: `UPDATE ${calls} SET inbox = 0 WHERE parent = ANY ($1::text[]) AND inbox < 0`,
    /** A parent and its branch that end at the same moment do not see each other's end. */
    dropResultsOfEnded: `
      UPDATE ${calls} AS child SET inbox = 0 FROM ${calls} AS parent
      WHERE child.inbox < 0 AND parent.id = child.parent AND parent.finished_at IS NOT NULL`,
    /** The sum keeps the planner from going through all results that wait for their places. */
    place: `
      UPDATE ${calls} AS call SET inbox = made.inbox
      FROM unnest($1::text[], $2::int[]) AS made (id, inbox) WHERE ${IS_MADE} AND call.inbox + 0 < 0`,
    /** In the order of the index that has only these: the planner would go through all parents. */
    endedBranches: `
      SELECT child.id, child.parent, child.correlation, child.parent_incarnation, child.state,
        CASE WHEN octet_length(child.result) <= ${SMALL_INPUT} THEN child.result END
      FROM ${calls} AS child
      WHERE child.inbox < 0
        AND $1 = (SELECT owner FROM ${calls} AS parent WHERE parent.id = child.parent AND parent.finished_at IS NULL)
      ORDER BY child.parent LIMIT $2`,
    /** Whoever claims the first call of a branch takes all of it. */
    release: `
      UPDATE ${calls} AS call SET owner = NULL, branch = made.branch
      FROM unnest($2::text[], $3::text[]) AS made (id, branch)
      WHERE ${IS_MADE} AND call.owner = $1 AND call.finished_at IS NULL`,
    offerWork: `SELECT pg_notify('${schema}_free', '${OFFERED}' || $1::bigint)`,
    askForWork: `SELECT pg_notify('${schema}_' || $1::bigint, '${WANTED}' || $2::int)`,
    tellFree: `SELECT pg_notify('${schema}_free', '')`,

    get: `SELECT ${columns('call')} FROM ${calls} AS call WHERE id = $1`,
    input: `SELECT input FROM ${calls} WHERE id = $1`,
    journal: `
      SELECT bytes FROM ${journals} WHERE call = (SELECT seq FROM ${calls} WHERE id = $1) ORDER BY ends_at`,
    results: `SELECT id, result FROM ${calls} WHERE id = ANY ($1::text[]) AND finished_at IS NOT NULL`,
    unfinished: `
      SELECT ${columns('call')} FROM ${calls} AS call WHERE seq = ANY (ARRAY(${ofOwner(calls)})) ORDER BY seq`,
    undelivered: undeliveredTo(calls, ofOwner(calls)),
    undeliveredInBranches: undeliveredTo(calls, inBranches(calls)),
    branches: branchesOf(calls, ofOwner(calls)),
    branchesOfBranches: branchesOf(calls, inBranches(calls)),
    /** May be many calls, each of which is found by its index. */
    ends: `
      SELECT call.* FROM unnest($1::text[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT id, root, finished_at IS NOT NULL, state, status, result FROM ${calls} WHERE id = wanted.id OFFSET 0) AS call`,
    /** Only one process looks for what can go: the one that has been here longest. */
    finishedRoots: `
      SELECT id FROM ${calls} AS root
      WHERE finished_at < $1 AND finished_at IS NOT NULL AND parent IS NULL
        AND $3 = (SELECT min(id) FROM ${processes} WHERE ended_at IS NULL)
        AND NOT EXISTS (
          SELECT FROM ${calls} AS call WHERE call.root = root.id AND call.parent IS NOT NULL AND call.finished_at IS NULL)
      ORDER BY finished_at, seq LIMIT $2`,
    descendants: `SELECT id FROM ${calls} WHERE root = $1 AND parent IS NOT NULL LIMIT $2`,

    claimHeads: claimHeads(tables, FAIR_QUOTA),
    /** The same where all that was found is being claimed by others: whatever is left. */
    claimAnyHeads: claimHeads(tables, '$1'),
    /**
     * Branches in which a call is to be cancelled, whatever their function. There are few: each is looked up. In the order of
     * the numbers themselves, here and below, the planner would go through all calls.
     */
    claimCancelled: `
      SELECT id FROM ${calls}
      WHERE finished_at IS NULL AND head AND ${isAnybodys('owner')}
        AND id = ANY (ARRAY(
          SELECT (SELECT coalesce(target.branch, target.root) FROM ${calls} AS target WHERE target.id = request.call)
          FROM ${cancellations} AS request))
      ORDER BY -seq DESC LIMIT $1 FOR UPDATE SKIP LOCKED`,
    /** Branches whose time is up, whatever their function: anybody can end them. */
    claimExpired: `
      SELECT id FROM ${calls}
      WHERE finished_at IS NULL AND head AND ${isAnybodys('owner')}
        AND expires_at IS NOT NULL AND expires_at <= extract(epoch FROM clock_timestamp()) * 1000 AND cancel_by IS NULL
      ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED`,
    /** Branches whose first call has ended, with calls that are still cleaning up, and whose process is no more. */
    claimEndedHeads: `
      SELECT id FROM ${calls}
      WHERE finished_at IS NOT NULL AND id = ANY (ARRAY(
        SELECT coalesce(branch, root) FROM ${calls} AS call
        WHERE call.finished_at IS NULL AND NOT call.head AND ${OWNER} = ANY (ARRAY(
          SELECT 0 UNION ALL SELECT process.id FROM ${processes} AS process WHERE process.ended_at IS NOT NULL))))
      ORDER BY -seq DESC LIMIT $1 FOR UPDATE SKIP LOCKED`,
    /**
     * All unfinished calls of these branches. A commit of their former process can no longer come in between; another process
     * that has claimed them since they were looked for keeps them.
     */
    takeOver: `
      UPDATE ${calls} AS call SET owner = $1
      WHERE seq = ANY (ARRAY(${inBranches(calls)})) AND ${isAnybodys('call.owner')}
      RETURNING ${columns('call')}, CASE WHEN octet_length(input) <= ${SMALL_INPUT} THEN input END`,
    /** Of calls in these branches, and of calls that were run before they were stored: their parents make them again. */
    inFlight: `
      SELECT call FROM ${running} WHERE call = ANY (ARRAY(
        SELECT id FROM ${calls} WHERE seq = ANY (ARRAY(${inBranches(calls)})) AND owner = $1))
      UNION SELECT call FROM ${running} AS mark
      WHERE ${isAnybodys('process')}
        AND NOT EXISTS (SELECT FROM ${calls} AS call WHERE call.id = mark.call)`,

    /** A process that counts as dead says nothing about calls that others have by now. */
    markStarted: `
      INSERT INTO ${running} (call, process) SELECT call, $1 FROM unnest($2::text[]) AS made (call)
      WHERE ${isAlive(processes, '$1')}
      ON CONFLICT (call) DO UPDATE SET process = excluded.process`,
    /** Those of the process, and those that it has taken over with the calls of processes that are no more. */
    markEnded: `
      DELETE FROM ${running} AS mark
      WHERE call = ANY ($2::text[]) AND (process = $1
        OR NOT ${isAlive(processes, 'mark.process')})`,
    /** Of processes that are no more. One that is just being run again has a new mark, and is not waited for. */
    settleMarks: `
      DELETE FROM ${running} WHERE call = ANY (ARRAY(
        SELECT call FROM ${running} AS mark
        WHERE call = ANY ($1::text[]) AND NOT ${isAlive(processes, 'mark.process')}
        FOR UPDATE OF mark SKIP LOCKED))`,
    unmarkAll: `DELETE FROM ${running} WHERE process = $1`,

    watch: `
      INSERT INTO ${waiting} (call, process) SELECT call, $2 FROM unnest($1::text[]) AS made (call) ON CONFLICT DO NOTHING`,
    unwatch: `DELETE FROM ${waiting} WHERE process = $2 AND call = ANY ($1::text[])`,
    unwatchAll: `DELETE FROM ${waiting} WHERE process = $1`,

    /** In the same order in every process. */
    lockKeys: `
      SELECT pg_advisory_xact_lock(hashtext('${schema} keys'), lock) FROM (
        SELECT DISTINCT hashtext(concat_ws(chr(1), endpoint, function, key)) & ${LOCKS - 1} AS lock
        FROM unnest($1::text[], $2::text[], $3::text[]) AS made (endpoint, function, key) ORDER BY lock) AS locks`,
    /** Calls that have ended, or are of another function by now. */
    clearKeys: `
      DELETE FROM ${keys} AS line
      WHERE ${ofKeys(1)} AND NOT EXISTS (
        SELECT FROM ${calls} AS call WHERE call.id = line.call AND call.finished_at IS NULL
          AND call.endpoint = line.endpoint AND call.function = line.function)`,
    enlist: `
      INSERT INTO ${keys} AS line (call, endpoint, function, key, process)
      SELECT call.id, call.endpoint, call.function, call.key, $1
      FROM unnest($2::text[]) WITH ORDINALITY AS made (id, place) JOIN ${calls} AS call ON call.id = made.id
      WHERE call.owner = $1 AND call.finished_at IS NULL ORDER BY made.place
      ON CONFLICT (call) DO UPDATE SET process = excluded.process`,
    /** Those who are first in line, where there is a free place; calls of dead processes come back with another one. */
    giveKeys: `
      WITH given AS (
        UPDATE ${keys} SET holds = true
        WHERE call IN (
          SELECT call FROM (
            SELECT line.call, line.holds, made.per_key,
              count(*) FILTER (WHERE holds) OVER (PARTITION BY line.endpoint, line.function, line.key) AS held,
              row_number() OVER (PARTITION BY line.endpoint, line.function, line.key, holds ORDER BY place) AS nth
            FROM unnest($2::text[], $3::text[], $4::text[], $5::int[]) AS made (endpoint, function, key, per_key)
              JOIN ${keys} AS line
              ON line.endpoint = made.endpoint AND line.function = made.function AND line.key = made.key
            WHERE line.holds OR ${isAlive(processes, 'line.process')}) AS line
          WHERE NOT holds AND held + nth <= per_key)
        RETURNING call, process)
      SELECT pg_notify('${schema}_' || process, '${KEY_GIVEN}' || call) FROM given WHERE process <> $1`,
    givenKeys: `SELECT call FROM ${keys} AS line WHERE process = $1 AND holds AND ${ofKeys(2)}`,
    /** Keys for which more calls wait than processes should have at hand. */
    longLines: `
      SELECT endpoint, function, key FROM unnest($1::text[], $2::text[], $3::text[]) AS line (endpoint, function, key)
      WHERE (SELECT count(*) FROM (SELECT FROM ${calls} AS call WHERE ${IN_LINE} LIMIT ${AT_HAND + 1}) AS known) > ${AT_HAND}`,
    /**
     * Of calls that nobody has and that have not begun, the oldest are left, up to what processes should have at hand: those
     * that have been called up are, and newer ones come behind all that are set aside.
     */
    setAside: `
      WITH lines AS MATERIALIZED (
        SELECT line.*, ${AT_HAND} - ${atHand(calls, keys, '> 0')} AS room,
          (SELECT seq FROM ${calls} AS call WHERE ${IS_SET_ASIDE} AND ${OF_LINE} ORDER BY seq LIMIT 1) AS next
        FROM unnest($1::text[], $2::text[], $3::text[]) AS line (endpoint, function, key))
      UPDATE ${calls} SET owner = ${SET_ASIDE} WHERE seq = ANY (ARRAY(
        SELECT found.seq FROM lines AS line CROSS JOIN LATERAL (
          SELECT seq FROM ${calls} AS call
          WHERE ${IN_LINE} AND ${OWNER} = 0 AND ${IS_DUE} AND parent IS NULL AND state = 0 AND attempt = 0 AND crashes = 0
            AND journal_bytes = 0 AND cancel_by IS NULL
            AND NOT EXISTS (SELECT FROM ${keys} AS place WHERE place.call = call.id)
          ORDER BY seq
          OFFSET CASE WHEN line.next IS NULL THEN line.room ELSE (
            SELECT count(*) FROM (
              SELECT FROM ${calls} AS call WHERE ${IN_LINE} AND ${OWNER} = 0 AND seq < line.next LIMIT line.room) AS called) END
          LIMIT ${SET_ASIDE_AT_ONCE}
          FOR UPDATE SKIP LOCKED) AS found))
      RETURNING id`,
    callUp: `
      WITH lines AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS line (endpoint, function, key)),
      ${callUp(schema, calls, keys)}`,
    /** The same for all keys, which the index tells by a jump for each: whoever should have called may be no more. */
    callUpAll: `
      WITH RECURSIVE lines (endpoint, function, key) AS (
        (SELECT endpoint, function, key FROM ${calls}
         WHERE ${IS_SET_ASIDE} AND $1 = (SELECT min(id) FROM ${processes} WHERE ended_at IS NULL)
         ORDER BY endpoint, function, key LIMIT 1)
        UNION ALL
        SELECT next.* FROM lines AS line CROSS JOIN LATERAL (
          SELECT endpoint, function, key FROM ${calls}
          WHERE ${IS_SET_ASIDE} AND (endpoint, function, key) > (line.endpoint, line.function, line.key)
          ORDER BY endpoint, function, key LIMIT 1) AS next),
      ${callUp(schema, calls, keys)}`,
    /** Without those that a tail call has made calls of other functions. */
    keyHolders: `
      SELECT line.call FROM ${keys} AS line JOIN ${calls} AS call
        ON call.id = line.call AND call.endpoint = line.endpoint AND call.function = line.function
      WHERE line.holds AND line.call = ANY ($1::text[])`,
    forgetKeys: `
      DELETE FROM ${keys} AS line
      WHERE NOT EXISTS (SELECT FROM ${calls} AS call WHERE call.id = line.call AND call.finished_at IS NULL)`,

    lockSlots: `
      SELECT pg_advisory_xact_lock(hashtext('${schema} slots'), lock) FROM (
        SELECT DISTINCT hashtext(concat_ws(chr(1), endpoint, function)) & ${LOCKS - 1} AS lock
        FROM unnest($1::text[], $2::text[]) AS made (endpoint, function) ORDER BY lock) AS locks`,
    /** The least that any process declares that is there; no row where none does. */
    slotLimits: `
      SELECT endpoint, function, min(runs) FROM ${registrations} AS registration
      WHERE ${ofFunctions(1)} AND runs IS NOT NULL
        AND ${isAlive(processes, 'registration.process')}
      GROUP BY endpoint, function`,
    /** Those of the process $3, and of others that are there. */
    slots: `
      SELECT endpoint, function, process, slots, wanted, turn FROM ${slots} AS row
      WHERE ${ofFunctions(1)}
        AND (process = $3 OR ${isAlive(processes, 'row.process')})`,
    setSlots: `
      INSERT INTO ${slots} (endpoint, function, process, slots, wanted, turn)
      SELECT endpoint, function, $3, slots, wanted, turn
      FROM unnest($1::text[], $2::text[], $4::int[], $5::int[], $6::bigint[])
      AS made (endpoint, function, slots, wanted, turn)
      ON CONFLICT (endpoint, function, process) DO UPDATE
      SET slots = excluded.slots, wanted = excluded.wanted, turn = excluded.turn`,
    tellSlots: `SELECT pg_notify('${schema}_' || process, '${SLOTS_CHANGED}') FROM unnest($1::bigint[]) AS told (process)`,
    forgetSlots: `
      DELETE FROM ${slots} AS row
      WHERE NOT ${isAlive(processes, 'row.process')}`,

    requestCancel: `
      WITH request AS (INSERT INTO ${cancellations} (call) VALUES ($1) ON CONFLICT DO NOTHING)
      SELECT pg_notify(CASE WHEN owner > 0 THEN '${schema}_' || owner ELSE '${schema}_free' END, '')
      FROM ${calls} WHERE id = $1 AND finished_at IS NULL`,
    requestCancels: `
      INSERT INTO ${cancellations} (call) SELECT id FROM ${calls} WHERE id = ANY ($1::text[]) AND finished_at IS NULL
      ON CONFLICT DO NOTHING`,
    tellOwners: `
      SELECT pg_notify('${schema}_' || owner, '') FROM ${calls}
      WHERE id = ANY ($1::text[]) AND finished_at IS NULL AND owner IS NOT NULL GROUP BY owner`,
    /** There are few, whatever the planner thinks: each call is looked up. */
    requestedCancels: `
      SELECT request.call FROM ${cancellations} AS request
      WHERE $1 = (SELECT owner FROM ${calls} AS call WHERE call.id = request.call AND call.finished_at IS NULL)`,
    forgetCancels: `
      DELETE FROM ${cancellations} AS request
      WHERE call = ANY ($1::text[])
        OR (SELECT call.seq FROM ${calls} AS call WHERE call.id = request.call AND call.finished_at IS NULL) IS NULL`,
  };
}

export function statementsOf(schema: string): Statements {
  const named = Object.entries(sqlOf(schema)).map(
    ([name, text]) => [name, { name: `dispatch_${name}`, text }] as const,
  );
  return Object.fromEntries(named) as Statements;
}
