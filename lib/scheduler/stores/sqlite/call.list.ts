import { setImmediate as nextTurn } from 'node:timers/promises';
import { isFinished } from '../../store.js';
import type { CallFilter } from '../../store.js';
import type { SqlRow, SqlValue } from './driver.js';
import { stateCode } from '../call.codes.js';
import { number, stateMask, text } from './rows.js';
import type { Statements } from './statements.js';

/** How many rows one statement may look at before the event loop has a turn: some milliseconds. */
const SLICE = 10_000;
/** How many calls of an index are looked at together, at most. */
const MOST_CANDIDATES = 5_000;
/** As many parts of an index may be merged, each of which is in order. */
const FEW = 100;

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

async function findRows(
  statements: () => Statements,
  filter: CallFilter,
  before: number,
  limit: number,
): Promise<SqlRow[]> {
  const conditions = conditionsOf(filter);
  const range = rangeOf(statements(), filter, before);
  const candidates = candidatesFor(statements, filter);
  return candidates === undefined
    ? findInSlices(statements, conditions, range, limit)
    : findAmong(statements, candidates, conditions, range, limit);
}

/** Looks at calls that an index gives. */
async function findAmong(
  statements: () => Statements,
  candidates: Candidates,
  conditions: SqlValue[],
  { from, to }: Range,
  limit: number,
): Promise<SqlRow[]> {
  const rows: SqlRow[] = [];
  let before = to;
  for (let count = limit; ; count = Math.min(MOST_CANDIDATES, count * 4)) {
    const seqs = candidates(before, count);
    const wanted = JSON.stringify(seqs.filter((seq) => seq >= from));
    rows.push(...statements().listCalls.all(wanted, ...conditions, limit - rows.length));
    const last = seqs.at(-1);
    if (rows.length >= limit || seqs.length < count || last === undefined || last <= from) return rows;
    before = last;
    await nextTurn();
  }
}

/** Looks at all calls from the newest on: what most calls match is found at once, the rest takes its time. */
async function findInSlices(
  statements: () => Statements,
  conditions: SqlValue[],
  { from, to }: Range,
  limit: number,
): Promise<SqlRow[]> {
  const ends = statements().ends.get();
  const first = Math.max(from, number(ends?.['first']));
  const rows: SqlRow[] = [];
  let end = Math.min(to, number(ends?.['last']) + 1);
  while (end > first && rows.length < limit) {
    const start = Math.max(first, end - SLICE);
    rows.push(...statements().listSlice.all(end, start, ...conditions, limit - rows.length));
    end = start;
    if (end > first && rows.length < limit) await nextTurn();
  }
  return rows;
}

/** The index that leaves the fewest calls to look at; undefined where none does. */
function candidatesFor(statements: () => Statements, filter: CallFilter): Candidates | undefined {
  const states = filter.state === undefined ? undefined : [filter.state].flat();
  const isUnfinished = states !== undefined && !states.some(isFinished);
  const root = filter.parentId === undefined ? filter.rootId : rootOf(statements(), filter.parentId);
  if (filter.parentId !== undefined && root === undefined) return () => [];
  if (root !== undefined) {
    const { parentId, rootId } = filter;
    if (rootId !== undefined && rootId !== root) return () => [];
    const childrenOf = (parent: string) => seqsOf((...page) => statements().childrenOf.all(root, parent, ...page));
    if (isUnfinished) {
      const below = seqsOf((...page) => statements().unfinishedInTree.all(root, parentId ?? null, ...page));
      return parentId === undefined ? merged([below, itself(statements, root)]) : below;
    }
    if (parentId !== undefined) return childrenOf(parentId);
    const parents = statements().parentsIn.all(root, root, FEW + 1);
    // The index has the calls of a tree by their parents: with few of them it is faster to ask for each.
    const below =
      parents.length > FEW
        ? seqsOf((...page) => statements().tree.all(root, ...page))
        : merged(parents.map((row) => childrenOf(text(row['parent']))));
    return merged([below, itself(statements, root)]);
  }
  if (isUnfinished) return seqsOf((...page) => statements().unfinished.all(...page));
  if (states?.every((state) => state === 'failed' || state === 'cancelled')) {
    return merged(states.map((state) => seqsOf((...page) => statements().unsuccessful.all(stateCode(state), ...page))));
  }
  if (!filter.roots) return undefined;
  const names = filter.function === undefined ? functionsOfRoots(statements()) : [filter.function];
  return merged(names.map((name) => seqsOf((...page) => statements().rootsOf.all(name, ...page))));
}

/** Gives the numbers of so many calls below one, the highest first. */
type Candidates = (before: number, count: number) => number[];

/** Calls from the one number up to the other, which does not belong to them. */
interface Range {
  readonly from: number;
  readonly to: number;
}

function seqsOf(find: (before: number, count: number) => SqlRow[]): Candidates {
  return (before, count) => find(before, count).map((row) => number(row['seq']));
}

function merged(sources: readonly Candidates[]): Candidates {
  const [only] = sources;
  if (sources.length === 1 && only) return only;
  return (before, count) =>
    sources
      .flatMap((source) => source(before, count))
      .sort((a, b) => b - a)
      .slice(0, count);
}

/** A root, which the indexes have apart from what is below it. */
function itself(statements: () => Statements, root: string): Candidates {
  return (before) => {
    const row = statements().seqOfRoot.get(root);
    return row && number(row['seq']) < before ? [number(row['seq'])] : [];
  };
}

function rootOf(statements: Statements, id: string): string | undefined {
  const row = statements.rootOf.get(id);
  return row && text(row['root']);
}

function functionsOfRoots(statements: Statements): string[] {
  return statements.functionsOfRoots.all().map((row) => text(row['function']));
}

function rangeOf(statements: Statements, { createdAfter, createdBefore }: CallFilter, before: number): Range {
  return {
    from: createdAfter === undefined ? 0 : firstCreated(statements, (time) => time > createdAfter),
    to:
      createdBefore === undefined
        ? before
        : Math.min(
            before,
            firstCreated(statements, (time) => time >= createdBefore),
          ),
  };
}

/**
 * The number of the first call that was created then or later. Calls have numbers in the order of their creation, so it is
 * found by halving, without an index; where the clock went back, it may be another one.
 */
function firstCreated(statements: Statements, then: (time: number) => boolean): number {
  const ends = statements.ends.get();
  let low = number(ends?.['first']);
  let high = number(ends?.['last']) + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const row = statements.createdFrom.get(middle);
    if (row && !then(number(row['created_at']))) low = number(row['seq']) + 1;
    else high = middle;
  }
  return low;
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
