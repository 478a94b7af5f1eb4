import type { CallProgress, CallRow, CallState, FinishedCall } from '../../store.js';
import { isFinished } from '../../store.js';
import type { SqlRow, SqlValue } from './driver.js';
import { DamagedError } from './errors.js';

/** Numbers of the states in the file: never change one. */
const STATE_CODES = {
  pending: 0,
  suspended: 1,
  incompatible: 2,
  succeeded: 3,
  failed: 4,
  cancelled: 5,
} as const satisfies Record<CallState, number>;
const STATES: readonly CallState[] = ['pending', 'suspended', 'incompatible', 'succeeded', 'failed', 'cancelled'];

/** What `journal_kind` says: the rounds of our own journal, or the state of an endpoint that does not speak the extension. */
export const JournalKind = { ROUNDS: 0, BYTES: 1, TYPED: 2 } as const;
const FOREIGN_STATES = [undefined, 'bytes', 'typed'] as const;

export const stateCode = (state: CallState): number => STATE_CODES[state];

/** A set of states as a number with one bit for each. */
export function stateMask(states: CallState | readonly CallState[] | undefined): number {
  if (states === undefined) return ~0;
  return [states].flat().reduce((mask, state) => mask | (1 << STATE_CODES[state]), 0);
}

/** Every column of a `CallRow`. */
export const CALL_COLUMNS = `seq, id, root, parent, correlation_high, correlation_low, parent_incarnation, created_at, expires_at,
  endpoint, function, version, state, due_at, attempt, crashes, incarnation, delivered, min_results, max_results, wake_at,
  cancel_by, journal_bytes, journal_digest, journal_kind, finished_at, status, inbox`;

export function callRow(row: SqlRow): CallRow {
  const id = text(row['id']);
  return {
    header: {
      id,
      parentId: row['parent'] === null ? '' : text(row['parent']),
      rootId: row['root'] === null ? id : text(row['root']),
      correlationId: correlationId(row),
      parentIncarnation: number(row['parent_incarnation']),
      createdAt: number(row['created_at']),
      expiresAt: optional(row['expires_at']),
    },
    target: { endpoint: text(row['endpoint']), function: text(row['function']), version: text(row['version']) },
    progress: progress(row),
    position: { bytes: number(row['journal_bytes']), digest: number(row['journal_digest']) },
    foreignState: FOREIGN_STATES[number(row['journal_kind'])],
    finished: finished(row),
  };
}

export function correlationId(row: SqlRow): bigint {
  const high = number(row['correlation_high']);
  const low = number(row['correlation_low']);
  return high === 0 ? BigInt(low) : (BigInt(high) << 32n) | BigInt(low);
}

export const highHalf = (correlation: bigint): number => Number((correlation >> 32n) & 0xffff_ffffn);
export const lowHalf = (correlation: bigint): number => Number(correlation & 0xffff_ffffn);

function progress(row: SqlRow): CallProgress {
  return {
    state: state(row),
    dueAt: number(row['due_at']),
    attempt: number(row['attempt']),
    crashes: number(row['crashes']),
    incarnation: number(row['incarnation']),
    delivered: number(row['delivered']),
    minResults: number(row['min_results']),
    maxResults: number(row['max_results']),
    wakeAt: optional(row['wake_at']),
    cancelBy: optional(row['cancel_by']),
  };
}

function finished(row: SqlRow): Omit<FinishedCall, 'result'> | undefined {
  const ended = state(row);
  if (!isEnd(ended)) return undefined;
  return {
    state: ended,
    status: number(row['status']),
    finishedAt: number(row['finished_at']),
    inbox: number(row['inbox']),
  };
}

function state(row: SqlRow): CallState {
  const found = STATES[number(row['state'])];
  if (!found) throw new DamagedError('a call is in no state that is known');
  return found;
}

const isEnd = (state: CallState): state is FinishedCall['state'] => isFinished(state);

export function number(value: SqlValue | undefined): number {
  if (typeof value !== 'number') throw new DamagedError('a row has no number where one belongs');
  return value;
}

export function text(value: SqlValue | undefined): string {
  if (typeof value !== 'string') throw new DamagedError('a row has no text where one belongs');
  return value;
}

const optional = (value: SqlValue | undefined): number | undefined => (value === null ? undefined : number(value));
