import { fromBinary } from '@bufbuild/protobuf';
import { CallResultSchema } from '../../../gen/dispatch/sdk/v1/call_pb.js';
import type { CallRow, CallState, FinishedCall } from '../../store.js';
import type { SqlRow } from './connection.js';
import { DamagedError, foreignStateOf, isEnd, stateOf } from '../call.codes.js';

/** The owner of calls that are set aside, because enough others wait for their keys. */
export const SET_ASIDE = -1;

/** The columns that `callRow` reads, in its order. */
export const CALL_COLUMNS = [
  'seq',
  'id',
  'root',
  'parent',
  'correlation',
  'parent_incarnation',
  'created_at',
  'expires_at',
  'endpoint',
  'function',
  'version',
  'state',
  'due_at',
  'attempt',
  'crashes',
  'incarnation',
  'delivered',
  'min_results',
  'max_results',
  'wake_at',
  'cancel_by',
  'journal_bytes',
  'journal_digest',
  'journal_kind',
  'finished_at',
  'status',
  'inbox',
  'priority',
  'key',
  'branch',
  'code',
  'owner',
] as const;

export function callRow(row: SqlRow): CallRow {
  const state = stateOf(number(row[11]));
  return {
    header: {
      id: text(row[1]),
      rootId: text(row[2]),
      parentId: row[3] === null ? '' : text(row[3]),
      correlationId: correlationId(row[4]),
      parentIncarnation: number(row[5]),
      createdAt: number(row[6]),
      expiresAt: optional(row[7]),
      priority: number(row[27]),
      key: text(row[28]),
      branchId: row[29] === null ? undefined : text(row[29]),
    },
    target: { endpoint: text(row[8]), function: text(row[9]), version: text(row[10]) },
    progress: {
      state,
      dueAt: number(row[12]),
      attempt: number(row[13]),
      crashes: number(row[14]),
      incarnation: number(row[15]),
      delivered: number(row[16]),
      minResults: number(row[17]),
      maxResults: number(row[18]),
      wakeAt: optional(row[19]),
      cancelBy: optional(row[20]),
    },
    position: { bytes: number(row[21]), digest: number(row[22]) },
    foreignState: foreignStateOf(number(row[23])),
    code: row[30] === null ? undefined : text(row[30]),
    isSetAside: (row[31] !== null && number(row[31]) === SET_ASIDE) || undefined,
    finished: finished(state, row),
  };
}

function finished(state: CallState, row: SqlRow): Omit<FinishedCall, 'result'> | undefined {
  if (!isEnd(state)) return undefined;
  return { state, finishedAt: number(row[24]), status: number(row[25]), inbox: number(row[26]) };
}

/** The 64 bits of a correlation id as the signed number that the table has. */
export const signed = (correlationId: bigint): bigint => BigInt.asIntN(64, correlationId);

export const correlationId = (value: unknown): bigint => BigInt.asUintN(64, BigInt(text(value)));

/** How a finished call ended: its state, its status and its result. */
export function endOf(state: unknown, status: unknown, result: unknown): Omit<FinishedCall, 'inbox' | 'finishedAt'> {
  const [end, bytes] = [stateOf(number(state)), bytesOf(result)];
  if (!isEnd(end) || !bytes) throw new DamagedError('a call that has finished has no result');
  return { state: end, status: number(status), result: fromBinary(CallResultSchema, bytes) };
}

/** The driver gives numbers of 64 bits as text; ours are below 2^53. */
export function number(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value === '') throw new DamagedError('a row has no number where one belongs');
  return Number(value);
}

export function text(value: unknown): string {
  if (typeof value !== 'string') throw new DamagedError('a row has no text where one belongs');
  return value;
}

export const bytesOf = (value: unknown): Uint8Array | undefined => (value instanceof Uint8Array ? value : undefined);

const optional = (value: unknown): number | undefined => (value === null ? undefined : number(value));
