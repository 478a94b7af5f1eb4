import { UNPLACED, type BranchChanges, type DispatchId, type Mutation, type StoreError } from '../../store.js';
import { encodeAny, encodeResult } from '../../../protocol/index.js';
import * as refusals from '../refusals.js';
import * as arrays from './arrays.js';
import type { Change } from './change.js';
import type { Answer, Connection, SqlRow, SqlValue, Statement } from './connection.js';
import type { MutationGroup } from './mutation.group.js';
import { JournalKind, stateCode } from '../call.codes.js';
import { number, signed, text } from './rows.js';
import type { Statements } from './statements.js';

/** A statement that was sent, and what its answer has to be. */
export interface Sent {
  readonly answer: Promise<Answer>;
  /** How many rows it must have written; anything else is a refusal. Undefined: any number. */
  readonly expected: number | undefined;
}

export interface WriterParts {
  readonly store: string;
  readonly statements: Statements;
  /** The process that has the calls. */
  readonly owner: number;
}

/** Writes groups of mutations, inside of a transaction that someone else begins and ends. */
export class MutationWriter {
  constructor(private readonly parts: WriterParts) {}

  /** Sends all of the group at once. */
  send(connection: Connection, group: MutationGroup): Sent[] {
    const { sent, send } = sender(connection);
    const { statements, owner } = this.parts;
    const changes = [...group.changes.values()];
    const created = changes.filter((change) => change.create !== undefined);
    const changed = changes.filter((change) => change.create === undefined && !change.onlyEnds);
    const ended = changes.filter((change) => change.onlyEnds);
    if (group.purged.size > 0) {
      const ids = arrays.texts([...group.purged]);
      send(statements.purge, [ids]);
      send(statements.firstUnfinished, [ids], 0);
    }
    const cleared = changes.filter((change) => change.clearsJournal);
    if (cleared.length > 0) send(statements.clearJournals, [arrays.texts(idsOf(cleared))]);
    const mayWait = created.some(({ create }) => create?.given);
    if (mayWait) send(statements.waitShortly, []);
    const { fresh, others } = byFreshness(created);
    if (fresh.length > 0) send(statements.createRoots, [owner, ...columnsOfRoots(fresh)], fresh.length);
    if (others.length > 0) send(statements.create, [owner, ...columnsOfNew(others, arrays.bytes)], others.length);
    if (mayWait) send(statements.wait, []);
    if (changed.length > 0) send(statements.change, [owner, ...columnsOfChanged(changed)], changed.length);
    if (ended.length > 0) send(statements.finish, [owner, ...columnsOfFinished(ended)], ended.length);
    const retargeted = changed.filter((change) => change.target !== undefined);
    if (retargeted.length > 0) send(statements.retarget, columnsOfTargets(retargeted));
    const parts = changes.filter((change) => change.parts.length > 0);
    if (parts.length > 0) send(statements.addToJournals, columnsOfParts(parts));
    const unplaced = changes.filter(isUnplaced);
    if (unplaced.length > 0) send(statements.dropUnwanted, [arrays.texts(idsOf(unplaced))]);
    // Other processes hear of it when the transaction is committed.
    if (changes.some((change) => change.isFree)) send(statements.tellFree, []);
    return sent;
  }

  /** Sends what changes about branches in the hands of others. */
  sendBranches(connection: Connection, { placed, cancelled, deaf, released }: BranchChanges): Sent[] {
    const { sent, send } = sender(connection);
    const { statements, owner } = this.parts;
    if (placed.length > 0) {
      const places = [arrays.texts(placed.map(({ id }) => id)), arrays.numbers(placed.map(({ inbox }) => inbox))];
      send(statements.place, places, placed.length);
    }
    if (released.length > 0) {
      const ids = arrays.texts(released.map(({ id }) => id));
      const branches = arrays.texts(released.map(({ branchId }) => branchId ?? null));
      send(statements.release, [owner, ids, branches], released.length);
      send(statements.tellFree, []);
    }
    if (deaf.length > 0) send(statements.dropResultsFor, [arrays.texts(deaf)]);
    if (cancelled.length > 0) {
      const ids = [arrays.texts(cancelled)];
      send(statements.requestCancels, ids);
      send(statements.tellOwners, ids);
      send(statements.tellFree, []);
    }
    return sent;
  }

  /** Sends that calls do not count as running any more with which a former process died. */
  sendSettled(connection: Connection, ids: readonly DispatchId[]): Sent[] {
    const { sent, send } = sender(connection);
    send(this.parts.statements.settleMarks, [arrays.texts(ids)]);
    return sent;
  }

  /**
   * Tells who waits for ends, once the COMMIT was sent: whoever begins to wait, or takes a parent over, before that is found,
   * and whoever does after it sees the end.
   */
  tellOfEnds(connection: Connection, groups: readonly MutationGroup[]): void {
    const { statements } = this.parts;
    const ended = groups.flatMap(({ changes }) => [...changes.values()].filter(({ finished }) => finished));
    const unplaced = ended.filter(isUnplaced);
    // Those who do not hear of it look now and then.
    const { send } = sender(connection);
    if (ended.length > 0) send(statements.tellWaiting, [arrays.texts(idsOf(ended))]);
    if (unplaced.length > 0) send(statements.tellParents, [arrays.texts(idsOf(unplaced))]);
  }

  /** Why the group was not written wholly. The transaction was rolled back. */
  async refusal(connection: Connection, mutations: readonly Mutation[]): Promise<StoreError | undefined> {
    const { statements, owner } = this.parts;
    const ids = new Set(mutations.flatMap(idsIn));
    const { rows } = await connection.run(statements.inspect, [arrays.texts([...ids])]);
    const found = new Map(rows.map((row) => [text(row[0]), row]));
    /** What follows on the same call was compared with the first when it was put together. */
    const seen = new Set<DispatchId>();
    for (const mutation of mutations) {
      for (const id of idsIn(mutation)) {
        if (seen.has(id)) continue;
        seen.add(id);
        const refused = this.refusalOf(mutation, id, found.get(id), owner);
        if (refused) return refused;
      }
    }
    return undefined;
  }

  private refusalOf(
    mutation: Mutation,
    id: DispatchId,
    row: SqlRow | undefined,
    owner: number,
  ): StoreError | undefined {
    const { store } = this.parts;
    const { type } = mutation;
    if (type === 'create') return row && refusals.refuseExisting(store, id);
    if (type === 'purge') return row?.[1] === false ? refusals.refuseUnfinishedPurge(store, id) : undefined;
    if (row === undefined) return refusals.refuseUnknown(store, type, id);
    const [, hasFinished, itsOwner, journalBytes, journalKind] = row;
    if (hasFinished === false && Number(itsOwner) !== owner) return refusals.refuseForeign(store, type, id);
    if (type === 'progress' || type === 'replace') return undefined;
    if (hasFinished === true) return refusals.refuseFinished(store, type, id);
    if (type !== 'append') return undefined;
    if (journalKind === JournalKind.TYPED) return refusals.refuseAppendToTyped(store, id);
    const end = number(journalBytes) + mutation.journal.length;
    return mutation.position.bytes === end
      ? undefined
      : refusals.refusePosition(store, id, mutation.position.bytes, end);
  }
}

/** Sends statements one behind the other: their answers are looked at later, all together. */
function sender(connection: Connection) {
  const sent: Sent[] = [];
  const send = (statement: Statement, values: SqlValue[], expected?: number): void => {
    const answer = connection.run(statement, values);
    answer.catch(() => undefined);
    sent.push({ answer, expected });
  };
  return { sent, send };
}

/** The calls that a mutation is about. */
export function idsIn(mutation: Mutation): readonly DispatchId[] {
  if (mutation.type === 'create') return [mutation.header.id];
  return mutation.type === 'purge' ? mutation.ids : [mutation.id];
}

/** Its parent is in another process, which gives the result its place. */
const isUnplaced = ({ finished }: Change): boolean => finished?.inbox === UNPLACED;

const idsOf = (changes: readonly Change[]): string[] => changes.map((change) => change.id);

const encodeInput = (target: Change['target']): Uint8Array | null => (target?.input ? encodeAny(target.input) : null);

/** Fresh roots may come before all others, unless that is another order of roots than the one they were made in. */
function byFreshness(created: readonly Change[]): { fresh: readonly Change[]; others: readonly Change[] } {
  const others = created.filter((change) => !change.isFreshRoot);
  if (others.some(({ create }) => create?.header.parentId === '')) return { fresh: [], others: created };
  return { fresh: others.length === 0 ? created : created.filter((change) => change.isFreshRoot), others };
}

/** The parameters of `createRoots` behind the owner. */
function columnsOfRoots(changes: readonly Change[]): SqlValue[] {
  const roots = changes.flatMap(({ create, isFree }) => (create === undefined ? [] : { ...create, isFree }));
  const { numbers, texts } = arrays;
  return [
    texts(roots.map(({ header }) => header.id)),
    numbers(roots.map(({ header }) => header.createdAt)),
    numbers(roots.map(({ header }) => header.expiresAt ?? null)),
    arrays.booleans(roots.map(({ isFree }) => isFree)),
    texts(roots.map(({ target }) => target.endpoint)),
    texts(roots.map(({ target }) => target.function)),
    texts(roots.map(({ target }) => target.version)),
    arrays.bytes(roots.map(({ target }) => encodeInput(target))),
    numbers(roots.map(({ progress }) => progress.dueAt)),
    numbers(roots.map(({ header }) => header.priority)),
    texts(roots.map(({ header }) => header.key)),
  ];
}

type EncodeBytes<T> = (values: readonly (Uint8Array | null)[]) => T;

/** The parameters of `create` behind the owner, and of `createIn` behind the transaction. */
export function columnsOfNew<T>(changes: readonly Change[], encodeBytes: EncodeBytes<T>): (string | T)[] {
  const rows = changes.flatMap((change) => {
    const { create, finished, position, journalKind } = change;
    const progress = change.progress;
    if (create === undefined || progress === undefined) return [];
    const target = change.target ?? create.target;
    return { header: create.header, free: change.isFree, target, progress, finished, position, journalKind };
  });
  const { numbers, texts } = arrays;
  return [
    texts(rows.map(({ header }) => header.id)),
    texts(rows.map(({ header }) => header.rootId)),
    texts(rows.map(({ header }) => (header.parentId === '' ? null : header.parentId))),
    numbers(rows.map(({ header }) => signed(header.correlationId))),
    numbers(rows.map(({ header }) => header.parentIncarnation)),
    numbers(rows.map(({ header }) => header.createdAt)),
    numbers(rows.map(({ header }) => header.expiresAt ?? null)),
    arrays.booleans(rows.map(({ free }) => free)),
    texts(rows.map(({ target }) => target.endpoint)),
    texts(rows.map(({ target }) => target.function)),
    texts(rows.map(({ target }) => target.version)),
    encodeBytes(rows.map(({ target }) => encodeInput(target))),
    numbers(rows.map(({ finished, progress }) => stateCode(finished?.state ?? progress.state))),
    numbers(rows.map(({ progress }) => progress.dueAt)),
    numbers(rows.map(({ progress }) => progress.attempt)),
    numbers(rows.map(({ progress }) => progress.crashes)),
    numbers(rows.map(({ progress }) => progress.incarnation)),
    numbers(rows.map(({ progress }) => progress.delivered)),
    numbers(rows.map(({ progress }) => progress.minResults)),
    numbers(rows.map(({ progress }) => progress.maxResults)),
    numbers(rows.map(({ progress }) => progress.wakeAt ?? null)),
    numbers(rows.map(({ progress }) => progress.cancelBy ?? null)),
    numbers(rows.map(({ header }) => header.priority)),
    texts(rows.map(({ header }) => header.key)),
    numbers(rows.map(({ position }) => position?.bytes ?? 0)),
    numbers(rows.map(({ position }) => position?.digest ?? 0)),
    numbers(rows.map(({ journalKind }) => journalKind)),
    ...columnsOfEnds(changes, encodeBytes),
    texts(rows.map(({ header }) => header.branchId ?? null)),
    texts(changes.map(({ code }) => code ?? null)),
  ];
}

/** The parameters of `change` behind the owner. */
function columnsOfChanged(changes: readonly Change[]): SqlValue[] {
  const { numbers } = arrays;
  const progress = (read: (progress: NonNullable<Change['progress']>) => number | undefined): string =>
    numbers(changes.map((change) => (change.progress && read(change.progress)) ?? null));
  return [
    arrays.texts(idsOf(changes)),
    arrays.booleans(changes.map((change) => change.needsUnfinished)),
    numbers(changes.map((change) => change.needsEnd ?? null)),
    arrays.booleans(changes.map((change) => change.isFree)),
    numbers(
      changes.map((change) => {
        const state = change.finished?.state ?? change.progress?.state;
        return state === undefined ? null : stateCode(state);
      }),
    ),
    progress(({ dueAt }) => dueAt),
    progress(({ attempt }) => attempt),
    progress(({ crashes }) => crashes),
    progress(({ incarnation }) => incarnation),
    progress(({ delivered }) => delivered),
    progress(({ minResults }) => minResults),
    progress(({ maxResults }) => maxResults),
    progress(({ wakeAt }) => wakeAt),
    progress(({ cancelBy }) => cancelBy),
    numbers(changes.map(({ position }) => position?.bytes ?? null)),
    numbers(changes.map(({ position }) => position?.digest ?? null)),
    numbers(changes.map(({ position, journalKind }) => (position ? journalKind : null))),
    ...columnsOfEnds(changes, arrays.bytes),
    arrays.texts(changes.map(({ code }) => code ?? null)),
  ];
}

/** The parameters of `finish` behind the owner. */
function columnsOfFinished(changes: readonly Change[]): SqlValue[] {
  return [
    arrays.texts(idsOf(changes)),
    arrays.numbers(changes.map(({ finished }) => (finished ? stateCode(finished.state) : null))),
    ...columnsOfEnds(changes, arrays.bytes),
  ];
}

function columnsOfEnds<T>(changes: readonly Change[], encodeBytes: EncodeBytes<T>): (string | T)[] {
  const { numbers } = arrays;
  return [
    numbers(changes.map(({ finished }) => finished?.finishedAt ?? null)),
    numbers(changes.map(({ finished }) => finished?.status ?? null)),
    numbers(changes.map(({ finished }) => finished?.inbox ?? 0)),
    encodeBytes(changes.map(({ finished }) => (finished ? encodeResult(finished.result) : null))),
  ];
}

function columnsOfTargets(changes: readonly Change[]): SqlValue[] {
  return [
    arrays.texts(idsOf(changes)),
    arrays.texts(changes.map(({ target }) => target?.endpoint ?? null)),
    arrays.texts(changes.map(({ target }) => target?.function ?? null)),
    arrays.texts(changes.map(({ target }) => target?.version ?? null)),
    arrays.bytes(changes.map(({ target }) => encodeInput(target))),
  ];
}

function columnsOfParts(changes: readonly Change[]): SqlValue[] {
  const parts = changes.flatMap(({ id, parts }) => parts.map((part) => ({ id, ...part })));
  return [
    arrays.texts(parts.map(({ id }) => id)),
    arrays.numbers(parts.map(({ endsAt }) => endsAt)),
    arrays.bytes(parts.map(({ bytes }) => bytes)),
  ];
}
