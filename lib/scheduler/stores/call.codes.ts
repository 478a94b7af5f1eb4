import { isFinished } from '../store.js';
import type { CallRow, CallState, FinishedCall } from '../store.js';

/** Numbers that stand for states and journals in the tables of all SQL stores: never change one. */

const STATE_CODES = {
  pending: 0,
  suspended: 1,
  incompatible: 2,
  succeeded: 3,
  failed: 4,
  cancelled: 5,
} as const satisfies Record<CallState, number>;
/** All states, each at the place that its number says. */
export const STATES: readonly CallState[] = [
  'pending',
  'suspended',
  'incompatible',
  'succeeded',
  'failed',
  'cancelled',
];

/** What `journal_kind` says: the rounds of our own journal, or the state of an endpoint that does not speak the extension. */
export const JournalKind = { ROUNDS: 0, BYTES: 1, TYPED: 2 } as const;
const FOREIGN_STATES = [undefined, 'bytes', 'typed'] as const;

/** What was read cannot have been written by the store. */
export class DamagedError extends Error {
  override readonly name = 'DamagedError';
}

export const stateCode = (state: CallState): number => STATE_CODES[state];
export const isEndCode = (code: number): boolean => code >= STATE_CODES.succeeded;

/** @throws DamagedError for a number that stands for no state */
export function stateOf(code: number): CallState {
  const state = STATES[code];
  if (!state) throw new DamagedError('a call is in no state that is known');
  return state;
}

export const isEnd = (state: CallState): state is FinishedCall['state'] => isFinished(state);

export const foreignStateOf = (journalKind: number): CallRow['foreignState'] => FOREIGN_STATES[journalKind];
