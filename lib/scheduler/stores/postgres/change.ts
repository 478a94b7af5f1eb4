import { EMPTY_JOURNAL, type JournalPosition } from '../../../protocol/index.js';
import type { CallProgress, CallTarget, CreateMutation, DispatchId, FinishedCall, Mutation } from '../../store.js';
import { JournalKind } from '../call.codes.js';

/** A piece of a journal, and where the journal ends with it. */
export interface JournalPart {
  readonly endsAt: number;
  readonly bytes: Uint8Array;
}

/** All that one commit does to a call, put together, so that its row is written once. */
export class Change {
  progress: CallProgress | undefined;
  /** It is nobody's from now on. */
  isFree = false;
  /** Set by a tail call. */
  target: CallTarget | undefined;
  finished: FinishedCall | undefined;
  /** Where the journal ends; undefined: where the table says. */
  position: JournalPosition | undefined;
  journalKind: number = JournalKind.ROUNDS;
  /** The version of the function that wrote the journal. */
  code: string | undefined;
  /** What the table has of the journal goes. */
  clearsJournal = false;
  parts: JournalPart[] = [];

  /** The call must not have ended in the table. */
  needsUnfinished = false;
  /** The journal must end there in the table. */
  needsEnd: number | undefined;

  /** @param create set when the call is new */
  constructor(
    readonly id: DispatchId,
    readonly create: CreateMutation | undefined,
  ) {
    this.progress = create?.progress;
    this.isFree = create?.free ?? false;
    if (create) this.position = EMPTY_JOURNAL;
  }

  setProgress(progress: CallProgress): void {
    this.progress = progress;
  }

  replace({ target, progress, free }: Extract<Mutation, { type: 'replace' }>): void {
    this.isFree = free ?? false;
    this.progress = progress;
    this.target = target ?? this.target;
    this.setJournal(EMPTY_JOURNAL, JournalKind.ROUNDS, undefined);
  }

  append({ journal, position, code }: Extract<Mutation, { type: 'append' }>): void {
    this.requireUnfinished();
    if (this.position === undefined) this.needsEnd = position.bytes - journal.length;
    this.position = position;
    this.code = code;
    this.journalKind = JournalKind.ROUNDS;
    if (journal.length > 0) this.parts.push({ endsAt: position.bytes, bytes: journal });
  }

  setState(position: JournalPosition, { typed, state, code }: Extract<Mutation, { type: 'state' }>): void {
    this.requireUnfinished();
    this.setJournal(position, typed ? JournalKind.TYPED : JournalKind.BYTES, state);
    this.code = code;
  }

  finish({ finished, hasJournal }: Extract<Mutation, { type: 'finish' }>): void {
    this.requireUnfinished();
    this.finished = finished;
    this.setJournal(EMPTY_JOURNAL, JournalKind.ROUNDS, undefined, hasJournal);
  }

  /** It is made, and nothing else: a root that has not begun. */
  get isFreshRoot(): boolean {
    const { create, progress, finished, position } = this;
    if (create === undefined || finished !== undefined || this.target !== undefined) return false;
    return create.header.parentId === '' && position?.bytes === 0 && progress !== undefined && isFresh(progress);
  }

  /** It ends, and nothing else. */
  get onlyEnds(): boolean {
    const { create, finished, progress, target, needsEnd } = this;
    const isEnd = create === undefined && finished !== undefined;
    return isEnd && progress === undefined && target === undefined && needsEnd === undefined;
  }

  private setJournal(position: JournalPosition, kind: number, bytes: Uint8Array | undefined, hadJournal = true): void {
    this.position = position;
    this.code = undefined;
    this.journalKind = kind;
    this.clearsJournal ||= hadJournal && this.create === undefined;
    this.parts = bytes === undefined || bytes.length === 0 ? [] : [{ endsAt: bytes.length, bytes }];
  }

  /** A call that was given progress in this commit goes on, whatever it was. */
  private requireUnfinished(): void {
    if (this.progress === undefined) this.needsUnfinished = true;
  }
}

function isFresh({ state, attempt, crashes, incarnation, delivered, ...progress }: CallProgress): boolean {
  const { minResults, maxResults, wakeAt, cancelBy } = progress;
  const hasBegun = attempt > 0 || crashes > 0 || incarnation !== 1 || delivered > 0 || minResults > 0 || maxResults > 0;
  return state === 'pending' && !hasBegun && wakeAt === undefined && cancelBy === undefined;
}
