import { Status } from '../errors/index.js';
import type { CallInfo } from '../scheduler/index.js';
import { table } from './output.js';

/** Calls as text. */

export function callTable(calls: readonly CallInfo[]): string {
  if (calls.length === 0) return 'No calls.';
  return table(
    ['ID', 'STATE', 'CREATED', 'ATTEMPT', 'FUNCTION'],
    calls.map((call) => [call.id, stateText(call), timeText(call.createdAt), String(call.attempt), call.function]),
  );
}

export function callDetails(call: CallInfo): string {
  const rows: [string, string | undefined][] = [
    ['id', call.id],
    ['function', call.version === '' ? call.function : `${call.function}, version ${call.version}`],
    ['endpoint', call.endpoint],
    ['state', stateText(call)],
    ['status', call.status === undefined ? undefined : Status[call.status]],
    ['parent', call.parentId],
    ['root', call.rootId === call.id ? undefined : call.rootId],
    ['created', timeText(call.createdAt)],
    ['finished', call.finishedAt === undefined ? undefined : timeText(call.finishedAt)],
    ['due', call.dueAt === undefined ? undefined : timeText(call.dueAt)],
    ['expires', call.expiresAt === undefined ? undefined : timeText(call.expiresAt)],
    ['attempt', String(call.attempt)],
    ['crashes', call.crashes === 0 ? undefined : String(call.crashes)],
    ['beginnings', call.incarnation === 1 ? undefined : String(call.incarnation)],
  ];
  return rows.flatMap(([name, value]) => (value === undefined ? [] : `${name.padEnd(11)}${value}`)).join('\n');
}

export function stateText({ state, waitsFor, cancelling }: CallInfo): string {
  const why = cancelling ? 'cancelling' : waitsFor;
  return why === undefined ? state : `${state} (${why})`;
}

const timeText = (time: number): string => new Date(time).toISOString();
