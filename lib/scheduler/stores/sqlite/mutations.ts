import { crc32 } from 'node:zlib';
import type { DispatchId, StoreError } from '../../store.js';
import * as refusals from '../refusals.js';
import { isEndCode, JournalKind } from '../call.codes.js';
import { number } from './rows.js';
import type { Statements } from './statements.js';
import { Op, TapeReader, type Tape } from './tape.js';

/** A larger input has a table of its own, because a call's row is written again with each change of its progress. */
const MAX_INPUT_IN_ROW = 1024;

/** The columns `state` to `cancel_by`. */
type Progress = [number, number, number, number, number, number, number, number, number | null, number | null];
/** The columns `state`, `status`, `finished_at`, `inbox` and `result`. */
type End = [number, number, number, number, Uint8Array];

/** Writes mutations, inside of a transaction that someone else begins and ends. */
export class MutationWriter {
  constructor(
    private readonly store: string,
    private readonly statements: Statements,
  ) {}

  applyAll(tape: Tape): void {
    const reader = new TapeReader(tape);
    while (!reader.isAtEnd) this.apply(reader);
  }

  private apply(tape: TapeReader): void {
    const op = tape.number();
    switch (op) {
      case Op.CREATE:
        return this.create(tape);
      case Op.CREATE_FINISHED:
        return this.createFinished(tape);
      case Op.PROGRESS:
        return this.setProgress(tape.text(), 'progress', progressOf(tape));
      case Op.REPLACE:
        return this.replace(tape.text(), progressOf(tape));
      case Op.REPLACE_TARGET:
        return this.replaceTarget(tape);
      case Op.APPEND:
        return this.append(tape.text(), tape.number(), tape.number(), bytesOf(tape));
      case Op.ADVANCE:
        return this.advance(tape.text(), tape.number(), tape.number(), bytesOf(tape), progressOf(tape));
      case Op.STATE:
        return this.setForeignState(tape.text(), tape.number() === 1, bytesOf(tape));
      case Op.FINISH:
        return this.finish(tape.text(), endOf(tape));
      case Op.PURGE:
        return this.purge(tape.text());
      default:
        throw new RangeError(`the tape of a commit has no operation ${op}`);
    }
  }

  private create(tape: TapeReader): void {
    const [id, values, largeInput] = this.newRow(tape);
    if (this.statements.createCall.run(...values) === 0) throw refusals.refuseExisting(this.store, id);
    if (largeInput) this.statements.putLargeInput.run(largeInput, id);
  }

  private createFinished(tape: TapeReader): void {
    const [id, values, largeInput] = this.newRow(tape);
    const [state, ...end] = endOf(tape);
    values[STATE_OF_NEW_ROW] = state;
    if (this.statements.createFinishedCall.run(...values, ...end) === 0) throw refusals.refuseExisting(this.store, id);
    if (largeInput) this.statements.putLargeInput.run(largeInput, id);
  }

  /** A call's id, the parameters of `createCall`, and its input where that has a table of its own. */
  private newRow(tape: TapeReader): [DispatchId, (number | string | Uint8Array | null)[], Uint8Array | undefined] {
    const id = tape.text();
    const root = tape.text();
    const parent = tape.text();
    const values: (number | string | Uint8Array | null)[] = [
      tape.number(),
      id,
      root === id ? null : root,
      parent === '' ? null : parent,
      tape.number(),
      tape.number(),
      tape.number(),
      tape.number(),
      tape.optional(),
      tape.number(),
      tape.text(),
      tape.text(),
      tape.text(),
      tape.text(),
    ];
    const input = tape.blob();
    const isLarge = input !== null && input.length > MAX_INPUT_IN_ROW;
    values.push(isLarge ? 1 : 0, isLarge ? null : input);
    const progress = progressOf(tape);
    if (isEndCode(progress[0])) throw refusals.refuseFinishedProgress(this.store, id);
    values.push(...progress);
    return [id, values, isLarge ? input : undefined];
  }

  private setProgress(id: DispatchId, type: 'progress' | 'replace', progress: Progress): void {
    if (isEndCode(progress[0])) throw refusals.refuseFinishedProgress(this.store, id);
    if (this.statements.setProgress.run(...progress, id) === 1) return;
    // Only a finished call that is run again gets here: what it had ended with goes.
    if (this.statements.reopen.run(id) === 0) throw refusals.refuseUnknown(this.store, type, id);
    this.statements.setProgress.run(...progress, id);
  }

  private replace(id: DispatchId, progress: Progress): void {
    this.setProgress(id, 'replace', progress);
    this.statements.clearJournal.run(id);
  }

  private replaceTarget(tape: TapeReader): void {
    const id = tape.text();
    this.replace(id, progressOf(tape));
    const [endpoint, name, version, input] = [tape.text(), tape.text(), tape.text(), tape.blob()];
    const isLarge = input !== null && input.length > MAX_INPUT_IN_ROW;
    this.statements.setTarget.run(endpoint, name, version, isLarge ? 1 : 0, isLarge ? null : input, id);
    if (isLarge) this.statements.putLargeInput.run(input, id);
  }

  private append(id: DispatchId, end: number, digest: number, journal: Uint8Array): void {
    const start = end - journal.length;
    if (this.statements.moveJournalEnd.run(end, digest, id, start) === 0) {
      throw this.refusedAppend(id, end, journal.length);
    }
    if (journal.length > 0) this.statements.addToJournal.run(end, journal, id);
  }

  private advance(id: DispatchId, end: number, digest: number, journal: Uint8Array, progress: Progress): void {
    if (isEndCode(progress[0])) throw refusals.refuseFinishedProgress(this.store, id);
    const start = end - journal.length;
    if (this.statements.advance.run(end, digest, ...progress, id, start) === 0) {
      throw this.refusedAppend(id, end, journal.length);
    }
    if (journal.length > 0) this.statements.addToJournal.run(end, journal, id);
  }

  private setForeignState(id: DispatchId, typed: boolean, state: Uint8Array): void {
    this.statements.removeJournal.run(id);
    const kind = typed ? JournalKind.TYPED : JournalKind.BYTES;
    if (this.statements.setForeignState.run(state.length, crc32(state), kind, id) === 0) {
      throw this.refusedEnd(id, 'state');
    }
    if (state.length > 0) this.statements.addToJournal.run(state.length, state, id);
  }

  private finish(id: DispatchId, end: End): void {
    if (this.statements.finish.run(...end, id) === 1) return;
    const row = this.statements.journalEnd.get(id);
    if (!row || row['finished_at'] !== null) throw this.refusedEnd(id, 'finish');
    this.statements.clearJournal.run(id);
    this.statements.finish.run(...end, id);
  }

  private purge(id: DispatchId): void {
    if (this.statements.purgeCall.run(id) > 0 || !this.exists(id)) return;
    throw refusals.refuseUnfinishedPurge(this.store, id);
  }

  private refusedAppend(id: DispatchId, given: number, length: number): StoreError {
    const row = this.statements.journalEnd.get(id);
    if (!row || row['finished_at'] !== null) return this.refusedEnd(id, 'append');
    if (row['journal_kind'] === JournalKind.TYPED) return refusals.refuseAppendToTyped(this.store, id);
    return refusals.refusePosition(this.store, id, given, number(row['journal_bytes']) + length);
  }

  private refusedEnd(id: DispatchId, type: 'append' | 'state' | 'finish'): StoreError {
    return this.exists(id)
      ? refusals.refuseFinished(this.store, type, id)
      : refusals.refuseUnknown(this.store, type, id);
  }

  private exists(id: DispatchId): boolean {
    return this.statements.journalEnd.get(id) !== undefined;
  }
}

/** Where `state` stands among the parameters of `createCall`. */
const STATE_OF_NEW_ROW = 16;

function progressOf(tape: TapeReader): Progress {
  return [
    tape.number(),
    tape.number(),
    tape.number(),
    tape.number(),
    tape.number(),
    tape.number(),
    tape.number(),
    tape.number(),
    tape.optional(),
    tape.optional(),
  ];
}

function endOf(tape: TapeReader): End {
  return [tape.number(), tape.number(), tape.number(), tape.number(), bytesOf(tape)];
}

function bytesOf(tape: TapeReader): Uint8Array {
  const bytes = tape.blob();
  if (bytes === null) throw new RangeError('the tape of a commit has no bytes where some belong');
  return bytes;
}
