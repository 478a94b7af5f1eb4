import { isFinished } from '../../store.js';
import type { CallFilter, CallState, Timestamp } from '../../store.js';
import { stateCode, STATES } from '../call.codes.js';
import * as arrays from './arrays.js';
import type { SqlValue } from './connection.js';
import { distinct } from './distinct.js';
import { CALL_COLUMNS } from './rows.js';

export interface ListQuery {
  readonly text: string;
  readonly values: SqlValue[];
}

/**
 * Calls have numbers in the order in which they were stored, which is about that of their creation: clocks of processes
 * differ, and a commit takes its time. Milliseconds.
 */
const DISORDER = 10_000;

const COLUMNS = CALL_COLUMNS.map((column) => `call.${column}`).join(', ');

/**
 * The query for a page of calls, newest first. What is not asked for is not in it, so that each index is of use that can be.
 *
 * The calls of a tree are looked up and sorted. Where only some states, functions or roots are asked for, calls come from lanes: the
 * parts of an index in which calls stand in their order. A page takes some from each, however many calls there are and
 * however few of them match. All else most calls match: they are read in their order.
 */
export function listQuery(
  schema: string,
  filter: CallFilter,
  page: { readonly limit: number; readonly after?: string },
): ListQuery {
  const calls = `${schema}.calls`;
  const values: SqlValue[] = [page.limit];
  const parameter = (value: SqlValue): string => `$${values.push(value)}`;
  const { state, function: name, roots, rootId, parentId, createdAfter, createdBefore } = filter;
  const states = state === undefined ? undefined : [state].flat();
  if (states?.length === 0) return { text: `SELECT ${COLUMNS} FROM ${calls} AS call WHERE false`, values: [] };
  const tables: string[] = [];
  const conditions: string[] = [];
  /** Numbers that those of the calls are below. */
  const bounds: string[] = [];

  if (page.after !== undefined) bounds.push(`${parameter(Number(page.after))}::bigint`);
  if (states) conditions.push(`state = ANY (${parameter(arrays.numbers(states.map(stateCode)))}::smallint[])`);
  if (name !== undefined) conditions.push(`function = ${parameter(name)}`);
  if (roots) conditions.push('parent IS NULL');
  if (createdAfter !== undefined) {
    conditions.push(`created_at > ${parameter(createdAfter)}`, `seq >= ${firstFrom('begun', createdAfter - DISORDER)}`);
  }
  if (createdBefore !== undefined) {
    conditions.push(`created_at < ${parameter(createdBefore)}`);
    bounds.push(firstFrom('over', createdBefore + DISORDER));
  }
  if (rootId !== undefined) {
    const root = parameter(rootId);
    conditions.push(`(id = ${root} OR root = ${root} AND parent IS NOT NULL) AND root = ${root}`);
  }
  if (parentId !== undefined) {
    const parent = parameter(parentId);
    const root = `(SELECT ancestor.root FROM ${calls} AS ancestor WHERE ancestor.id = ${parent})`;
    conditions.push(`parent = ${parent} AND parent IS NOT NULL AND root = ${root}`);
  }

  const isOfTree = rootId !== undefined || parentId !== undefined;
  const isOfFew = states?.includes('succeeded') === false || name !== undefined || roots === true;
  const ascending = bounds.map((bound) => `seq < ${bound}`);
  if (isOfTree) {
    // Found first and sorted then: in their order the planner would look for them among all calls.
    const found = [...conditions, ...ascending].join(' AND ');
    tables.push(`found AS MATERIALIZED (SELECT seq FROM ${calls} AS call WHERE ${found})`);
    return newestOf('SELECT seq FROM found');
  }
  if (isOfFew) {
    const found = lanesFor(calls, filter).map((lanes) => {
      tables.push(...lanes.tables);
      const below = lanes.isNegated ? bounds.map((bound) => `-seq > -${bound}`) : ascending;
      const wanted = [lanes.wanted ?? 'true', ...(name === undefined ? [] : [`lane.function = ${parameter(name)}`])];
      return `
        SELECT found.seq FROM ${lanes.name} AS lane CROSS JOIN LATERAL (
          SELECT seq FROM ${calls} AS call WHERE ${[lanes.condition, ...conditions, ...below].join(' AND ')}
          ORDER BY ${lanes.isNegated ? '-seq' : 'seq DESC'} LIMIT $1) AS found
        WHERE ${wanted.join(' AND ')}`;
    });
    return newestOf(found.join(' UNION ALL '));
  }
  return query([...conditions, ...ascending]);

  function newestOf(found: string): ListQuery {
    return query([`seq = ANY (ARRAY(${found} ORDER BY seq DESC LIMIT $1))`]);
  }

  function query(conditions: readonly string[]): ListQuery {
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
    const common = tables.length === 0 ? '' : `WITH RECURSIVE ${tables.join(', ')}`;
    return { text: `${common} SELECT ${COLUMNS} FROM ${calls} AS call ${where} ORDER BY seq DESC LIMIT $1`, values };
  }

  /** The number of the first call that was created then or later, found by halving. */
  function firstFrom(table: string, time: Timestamp): string {
    tables.push(halving(calls, table, parameter(time)));
    return `(SELECT max(low) FROM ${table})`;
  }
}

const halving = (calls: string, table: string, time: string): string => `
  ${table} (low, high) AS (
    SELECT min(seq), max(seq) + 1 FROM ${calls}
    UNION ALL
    SELECT CASE WHEN middle.created_at < ${time} THEN middle.seq + 1 ELSE low END,
      CASE WHEN middle.created_at < ${time} THEN high ELSE (low + high) / 2 END
    FROM ${table} CROSS JOIN LATERAL (
      SELECT seq, created_at FROM ${calls} WHERE seq >= (low + high) / 2 ORDER BY seq LIMIT 1) AS middle
    WHERE low < high)`;

/** A part of an index, or several: in each lane calls stand in their order. */
interface Lanes {
  /** Find the lanes, by a jump for each. */
  readonly tables: readonly string[];
  /** The last of these tables. */
  readonly name: string;
  /** Which lanes. */
  readonly wanted?: string;
  /** The calls of a lane. */
  readonly condition: string;
  /** The index has their numbers negated: it is for lists alone. */
  readonly isNegated: boolean;
}

/** All lanes in which calls are that match. */
function lanesFor(calls: string, { state, roots }: CallFilter): Lanes[] {
  const states = state === undefined ? STATES : [state].flat();
  const lanes: Lanes[] = [];
  if (!states.every(isFinished)) {
    lanes.push(unfinishedHeads(calls));
    if (!roots) lanes.push(unfinishedMembers(calls));
  }
  if (states.some(isFinished)) {
    const wanted = wantedStatus(states);
    lanes.push(ended(calls, 'ended_roots', 'parent IS NULL', wanted));
    if (!roots) lanes.push(ended(calls, 'ended_children', 'parent IS NOT NULL', wanted));
  }
  return lanes;
}

/** Calls have succeeded that have ended with the status 1. */
function wantedStatus(states: readonly CallState[]): string | undefined {
  const ends = states.filter(isFinished);
  if (!ends.includes('succeeded')) return 'lane.status <> 1';
  return ends.length === 1 ? 'lane.status = 1' : undefined;
}

function unfinishedHeads(calls: string): Lanes {
  const lane =
    'finished_at IS NULL AND head AND coalesce(owner, 0) = lane.owner AND endpoint = lane.endpoint AND function = lane.function';
  const each = `
    head_lanes (owner, endpoint, function, priority) AS (
      SELECT lane.*, first.priority FROM head_functions AS lane CROSS JOIN LATERAL (
        SELECT priority FROM ${calls} WHERE ${lane} ORDER BY priority DESC LIMIT 1) AS first
      UNION ALL
      SELECT lane.owner, lane.endpoint, lane.function, next.priority FROM head_lanes AS lane CROSS JOIN LATERAL (
        SELECT priority FROM ${calls} WHERE ${lane} AND priority < lane.priority ORDER BY priority DESC LIMIT 1) AS next)`;
  const owner = 'coalesce(owner, 0)';
  return {
    tables: [
      distinct(calls, 'head_functions', 'finished_at IS NULL AND head', {
        owner,
        endpoint: 'endpoint',
        function: 'function',
      }),
      each,
    ],
    name: 'head_lanes',
    condition: `${lane} AND priority = lane.priority`,
    isNegated: false,
  };
}

function unfinishedMembers(calls: string): Lanes {
  const isMember = 'finished_at IS NULL AND NOT head';
  return {
    tables: [distinct(calls, 'member_lanes', isMember, { owner: 'coalesce(owner, 0)', function: 'function' })],
    name: 'member_lanes',
    condition: `${isMember} AND coalesce(owner, 0) = lane.owner AND function = lane.function`,
    isNegated: false,
  };
}

function ended(calls: string, name: string, which: string, wanted: string | undefined): Lanes {
  const hasEnded = `finished_at IS NOT NULL AND ${which}`;
  return {
    tables: [distinct(calls, name, hasEnded, { function: 'function', status: 'status' })],
    name,
    wanted,
    condition: `${hasEnded} AND function = lane.function AND status = lane.status`,
    isNegated: true,
  };
}
