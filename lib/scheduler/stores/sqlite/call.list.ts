import { setImmediate as nextTurn } from 'node:timers/promises';
import { isFinished } from '../../store.js';
import type { CallFilter } from '../../store.js';
import type { SqlRow, SqlValue } from './driver.js';
import { number, stateMask, text } from './rows.js';
import type { Statements } from './statements.js';

/** How many rows one statement may look at before the event loop has a turn: some milliseconds. */
const SLICE = 10_000;

interface Page {
  readonly limit: number;
  readonly after?: string;
}

/** A page of calls, each as `callRow` reads it. */
export interface CallTextPage {
  readonly calls: string[];
  readonly next: string | undefined;
}

/**
 * Lists calls, newest first.
 * @param statements is asked again after each turn of the event loop: the store may have been closed
 */
export async function listCalls(statements: () => Statements, filter: CallFilter, page: Page): Promise<CallTextPage> {
  // One more than asked for tells whether there is a next page.
  const rows = await findRows(
    statements,
    filter,
    page.after === undefined ? Number.MAX_SAFE_INTEGER : Number(page.after),
    page.limit + 1,
  );
  const shown = rows.slice(0, page.limit);
  const last = shown.at(-1);
  return {
    calls: shown.map((row) => text(row['call'])),
    next: last && rows.length > shown.length ? String(number(last['seq'])) : undefined,
  };
}

function findRows(
  statements: () => Statements,
  filter: CallFilter,
  before: number,
  limit: number,
): SqlRow[] | Promise<SqlRow[]> {
  const conditions = conditionsOf(filter);
  if (filter.parentId !== undefined) {
    const { parentId, rootId } = filter;
    return statements().listChildren.all(parentId, parentId, rootId ?? null, before, ...conditions, limit);
  }
  if (filter.rootId !== undefined) {
    const { rootId } = filter;
    return statements().listTree.all(rootId, rootId, rootId, before, ...conditions, limit);
  }
  if (filter.state !== undefined && ![filter.state].flat().some(isFinished)) {
    return statements().listUnfinished.all(before, ...conditions, limit);
  }
  return findInSlices(statements, conditions, before, limit);
}

async function findInSlices(
  statements: () => Statements,
  conditions: SqlValue[],
  before: number,
  limit: number,
): Promise<SqlRow[]> {
  const ends = statements().ends.get();
  const first = number(ends?.['first']);
  const rows: SqlRow[] = [];
  let end = Math.min(before, number(ends?.['last']) + 1);
  while (end > first && rows.length < limit) {
    const start = Math.max(first, end - SLICE);
    rows.push(...statements().listSlice.all(end, start, ...conditions, limit - rows.length));
    end = start;
    if (end > first && rows.length < limit) await nextTurn();
  }
  return rows;
}

/** The parameters of `CALLS_TO_LIST`. */
function conditionsOf(filter: CallFilter): SqlValue[] {
  return [
    stateMask(filter.state),
    filter.function ?? null,
    filter.roots ? 1 : 0,
    filter.createdAfter ?? -Infinity,
    filter.createdBefore ?? Infinity,
  ];
}
