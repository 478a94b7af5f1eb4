import { setImmediate as nextTurn } from 'node:timers/promises';
import { isFinished } from '../../store.js';
import type { CallFilter, CallState, DispatchId } from '../../store.js';
import type { SqlRow, SqlValue } from './driver.js';
import { stateCode, STATES } from '../call.codes.js';
import { number, stateMask, text } from './rows.js';
import type { Statements } from './statements.js';

/** How many rows one statement may look at before the event loop has a turn: some milliseconds. */
const SLICE = 10_000;
/** How many calls of an index are looked at together, at most. */
const MOST_CANDIDATES = 5_000;
/** So many calls are looked at one by one, rather than to look for another index. */
const FEW = 5_000;

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

/** What the indexes leave to look at; undefined where they leave about everything. */
function candidatesFor(statements: () => Statements, filter: CallFilter): Candidates | undefined {
  const { function: name, rootId } = filter;
  const states = filter.state === undefined ? STATES : [filter.state].flat();
  if (filter.parentId !== undefined) return childrenIn(statements, filter.parentId, rootId, name, states);
  if (rootId !== undefined) return merged([callsOf(statements, rootId, name, states), itself(statements, rootId)]);
  if (filter.roots) return callsOf(statements, null, name, states);
  const isRare = !states.includes('succeeded');
  if (isRare && (name === undefined || hasFewUnfinished(statements, states))) return rare(statements, name, states);
  if (name === undefined) return undefined;
  return merged([
    callsOf(statements, null, name, states),
    seqsOf((...page) => statements().childrenNamed.all(name, ...page)),
  ]);
}

/** Of few children all; of many those that belong to the tree's calls of that function and in those states. */
function childrenIn(
  statements: () => Statements,
  parent: DispatchId,
  rootId: DispatchId | undefined,
  name: string | undefined,
  states: readonly CallState[],
): Candidates {
  const root = rootOf(statements(), parent);
  if (root === undefined || (rootId !== undefined && rootId !== root)) return () => [];
  const children = seqsOf((...page) => statements().childrenOf.all(parent, ...page));
  const isAll = name === undefined && states.length === STATES.length;
  return isAll || hasFew(children) ? children : callsOf(statements, root, name, states);
}

/** Calls that have not succeeded. */
function rare(statements: () => Statements, name: string | undefined, states: readonly CallState[]): Candidates {
  if (!states.some(isActive)) return merged(states.map((state) => unsuccessful(statements, state, name)));
  return merged([
    callsOf(statements, null, name, ['pending']),
    unfinishedChildren(statements),
    ...states.filter(isFinished).map((state) => unsuccessful(statements, state, name)),
  ]);
}

const isActive = (state: CallState): boolean => state === 'pending' || state === 'suspended';

const hasFewUnfinished = (statements: () => Statements, states: readonly CallState[]): boolean =>
  !states.some(isActive) || hasFew(unfinishedChildren(statements));

const hasFew = (candidates: Candidates): boolean => candidates(Number.MAX_SAFE_INTEGER, FEW).length < FEW;

const unfinishedChildren = (statements: () => Statements): Candidates =>
  seqsOf((...page) => statements().unfinishedChildren.all(...page));

/** The calls below a root, or all roots (null), of a function or of any; of those that have not ended, in any state. */
function callsOf(
  statements: () => Statements,
  root: DispatchId | null,
  name: string | undefined,
  states: readonly CallState[],
): Candidates {
  const names = name === undefined ? namesBelow(statements(), root) : [name];
  const ends = states.filter((state) => isFinished(state)).map(stateCode);
  const unfinished = (name: string) => seqsOf((...page) => statements().unfinishedOf.all(root, name, ...page));
  const finished = (name: string, end: number) =>
    seqsOf((...page) => statements().finishedOf.all(root, name, end, ...page));
  return merged(
    names.flatMap((name) => [
      ...(ends.length < states.length ? [unfinished(name)] : []),
      ...ends.map((end) => finished(name, end)),
    ]),
  );
}

/** Calls in one of the states that few calls are in. */
function unsuccessful(statements: () => Statements, state: CallState, name: string | undefined): Candidates {
  const code = stateCode(state);
  const names = name === undefined ? namesOf(statements().namesOfUnsuccessful.all(code, code)) : [name];
  return merged(names.map((name) => seqsOf((...page) => statements().unsuccessful.all(code, name, ...page))));
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

function namesBelow(statements: Statements, root: DispatchId | null): string[] {
  const rows = [...statements.namesOfUnfinished.all(root, root), ...statements.namesOfFinished.all(root, root)];
  return [...new Set(namesOf(rows))];
}

const namesOf = (rows: SqlRow[]): string[] => rows.map((row) => text(row['function']));

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
