import type { CallRow, CallState, FinishedCall, Recovery } from '../../store.js';
import type { SqlValue } from './driver.js';
import { DamagedError, foreignStateOf, isEnd, stateCode, stateOf } from '../call.codes.js';

/** A set of states as a number with one bit for each. */
export function stateMask(states: CallState | readonly CallState[] | undefined): number {
  if (states === undefined) return ~0;
  return [states].flat().reduce((mask, state) => mask | (1 << stateCode(state)), 0);
}

/**
 * A call as SQL gives it: its number, and all that `callRow` needs as one JSON text. Drivers make an object with a property
 * for each column, which takes four times as long.
 */
export const CALL = `seq, json_array(id, root, parent, correlation_high, correlation_low, parent_incarnation, created_at,
  expires_at, endpoint, function, version, state, due_at, attempt, crashes, incarnation, delivered, min_results, max_results,
  wake_at, cancel_by, journal_bytes, journal_digest, journal_kind, finished_at, status, inbox, priority, limit_key) AS call`;

export function callRow(call: string): CallRow {
  const values = JSON.parse(call) as SqlValue[];
  const id = text(values[0]);
  return {
    header: {
      id,
      parentId: values[2] === null ? '' : text(values[2]),
      rootId: values[1] === null ? id : text(values[1]),
      correlationId: correlationId(number(values[3]), number(values[4])),
      parentIncarnation: number(values[5]),
      createdAt: number(values[6]),
      expiresAt: optional(values[7]),
      priority: number(values[27]),
      key: text(values[28]),
    },
    target: { endpoint: text(values[8]), function: text(values[9]), version: text(values[10]) },
    progress: {
      state: stateOf(number(values[11])),
      dueAt: number(values[12]),
      attempt: number(values[13]),
      crashes: number(values[14]),
      incarnation: number(values[15]),
      delivered: number(values[16]),
      minResults: number(values[17]),
      maxResults: number(values[18]),
      wakeAt: optional(values[19]),
      cancelBy: optional(values[20]),
    },
    position: { bytes: number(values[21]), digest: number(values[22]) },
    foreignState: foreignStateOf(number(values[23])),
    finished: finished(stateOf(number(values[11])), values),
  };
}

/** What `undeliveredResults` says of a result. */
export function undeliveredResult(result: string): Recovery['undelivered'][number] {
  const [id, parent, high, low, inbox] = JSON.parse(result) as SqlValue[];
  return {
    id: text(id),
    parentId: text(parent),
    correlationId: correlationId(number(high), number(low)),
    inbox: number(inbox),
  };
}

function finished(state: CallState, values: readonly SqlValue[]): Omit<FinishedCall, 'result'> | undefined {
  if (!isEnd(state)) return undefined;
  return { state, finishedAt: number(values[24]), status: number(values[25]), inbox: number(values[26]) };
}

/** A correlation id from its halves. */
export const correlationId = (high: number, low: number): bigint =>
  high === 0 ? BigInt(low) : (BigInt(high) << 32n) | BigInt(low);

export const highHalf = (correlation: bigint): number => Number((correlation >> 32n) & 0xffff_ffffn);
export const lowHalf = (correlation: bigint): number => Number(correlation & 0xffff_ffffn);

export function number(value: SqlValue | undefined): number {
  if (typeof value !== 'number') throw new DamagedError('a row has no number where one belongs');
  return value;
}

export function text(value: SqlValue | undefined): string {
  if (typeof value !== 'string') throw new DamagedError('a row has no text where one belongs');
  return value;
}

const optional = (value: SqlValue | undefined): number | undefined => (value === null ? undefined : number(value));
