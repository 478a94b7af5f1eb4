import { crc32 } from 'node:zlib';
import { isFinished } from '../../store.js';
import type { CallProgress, CallTarget, DispatchId, Mutation, StoreError } from '../../store.js';
import { encodeAny, encodeResult } from '../encoding.js';
import * as refusals from '../refusals.js';
import { highHalf, JournalKind, lowHalf, number, stateCode } from './rows.js';
import type { Statements } from './statements.js';

/** A larger input has a table of its own, because a call's row is written again with each change of its progress. */
const MAX_INPUT_IN_ROW = 1024;

/** Writes mutations, inside of a transaction that someone else begins and ends. */
export class MutationWriter {
  /** @param lastSeq the number of the last call that was created */
  constructor(
    private readonly store: string,
    private readonly statements: Statements,
    private lastSeq: number,
  ) {}

  apply(mutation: Mutation): void {
    switch (mutation.type) {
      case 'create':
        this.create(mutation);
        return;
      case 'progress':
        this.setProgress(mutation.id, mutation.type, mutation.progress);
        return;
      case 'replace':
        this.setProgress(mutation.id, mutation.type, mutation.progress);
        this.statements.clearJournal.run(mutation.id);
        if (mutation.target) this.setTarget(mutation.id, mutation.target);
        return;
      case 'append':
        this.append(mutation);
        return;
      case 'state':
        this.setForeignState(mutation);
        return;
      case 'finish':
        this.finish(mutation);
        return;
      case 'purge':
        for (const id of mutation.ids) {
          if (this.statements.purgeCall.run(id) === 0 && this.exists(id))
            throw refusals.refuseUnfinishedPurge(this.store, id);
        }
        return;
    }
  }

  private create({ header, target, progress }: Extract<Mutation, { type: 'create' }>): void {
    if (isFinished(progress.state)) throw refusals.refuseFinishedProgress(this.store, header.id);
    const input = encodeInput(target);
    const isLarge = input !== null && input.length > MAX_INPUT_IN_ROW;
    const created = this.statements.createCall.run(
      ++this.lastSeq,
      header.id,
      header.rootId === header.id ? null : header.rootId,
      header.parentId === '' ? null : header.parentId,
      highHalf(header.correlationId),
      lowHalf(header.correlationId),
      header.parentIncarnation,
      header.createdAt,
      header.expiresAt ?? null,
      target.endpoint,
      target.function,
      target.version,
      isLarge ? 1 : 0,
      isLarge ? null : input,
      stateCode(progress.state),
      progress.dueAt,
      progress.attempt,
      progress.crashes,
      progress.incarnation,
      progress.delivered,
      progress.minResults,
      progress.maxResults,
      progress.wakeAt ?? null,
      progress.cancelBy ?? null,
      header.priority,
      header.key,
    );
    if (created === 0) throw refusals.refuseExisting(this.store, header.id);
    if (isLarge) this.statements.putLargeInput.run(input, header.id);
  }

  private setProgress(id: DispatchId, type: 'progress' | 'replace', progress: CallProgress): void {
    if (isFinished(progress.state)) throw refusals.refuseFinishedProgress(this.store, id);
    if (this.tryProgress(id, progress)) return;
    // Only a finished call that is run again gets here: what it had ended with goes.
    if (this.statements.reopen.run(id) === 0) throw refusals.refuseUnknown(this.store, type, id);
    this.tryProgress(id, progress);
  }

  private tryProgress(id: DispatchId, progress: CallProgress): boolean {
    return (
      this.statements.setProgress.run(
        stateCode(progress.state),
        progress.dueAt,
        progress.attempt,
        progress.crashes,
        progress.incarnation,
        progress.delivered,
        progress.minResults,
        progress.maxResults,
        progress.wakeAt ?? null,
        progress.cancelBy ?? null,
        id,
      ) === 1
    );
  }

  private setTarget(id: DispatchId, target: CallTarget): void {
    const input = encodeInput(target);
    const isLarge = input !== null && input.length > MAX_INPUT_IN_ROW;
    this.statements.setTarget.run(
      target.endpoint,
      target.function,
      target.version,
      isLarge ? 1 : 0,
      isLarge ? null : input,
      id,
    );
    if (isLarge) this.statements.putLargeInput.run(input, id);
  }

  private append({ id, journal, position }: Extract<Mutation, { type: 'append' }>): void {
    const start = position.bytes - journal.length;
    if (this.statements.moveJournalEnd.run(position.bytes, position.digest, id, start) === 0) {
      throw this.refusedAppend(id, position.bytes, journal.length);
    }
    if (journal.length > 0) this.statements.addToJournal.run(position.bytes, journal, id);
  }

  private setForeignState({ id, state, typed }: Extract<Mutation, { type: 'state' }>): void {
    this.statements.removeJournal.run(id);
    const kind = typed ? JournalKind.TYPED : JournalKind.BYTES;
    if (this.statements.setForeignState.run(state.length, crc32(state), kind, id) === 0)
      throw this.refusedEnd(id, 'state');
    if (state.length > 0) this.statements.addToJournal.run(state.length, state, id);
  }

  private finish({ id, finished }: Extract<Mutation, { type: 'finish' }>): void {
    const result = encodeResult(finished.result);
    const { state, status, finishedAt, inbox } = finished;
    if (this.statements.finish.run(stateCode(state), status, finishedAt, inbox, result, id) === 1) return;
    const row = this.statements.journalEnd.get(id);
    if (!row || row['finished_at'] !== null) throw this.refusedEnd(id, 'finish');
    this.statements.clearJournal.run(id);
    this.statements.finish.run(stateCode(state), status, finishedAt, inbox, result, id);
  }

  private refusedAppend(id: DispatchId, given: number, length: number): StoreError {
    const row = this.statements.journalEnd.get(id);
    if (!row || row['finished_at'] !== null) return this.refusedEnd(id, 'append');
    if (row['journal_kind'] === JournalKind.TYPED) return refusals.refuseAppendToTyped(this.store, id);
    return refusals.refusePosition(this.store, id, given, number(row['journal_bytes']) + length);
  }

  private refusedEnd(id: DispatchId, type: Mutation['type']): StoreError {
    return this.exists(id)
      ? refusals.refuseFinished(this.store, type, id)
      : refusals.refuseUnknown(this.store, type, id);
  }

  private exists(id: DispatchId): boolean {
    return this.statements.journalEnd.get(id) !== undefined;
  }
}

function encodeInput(target: CallTarget): Uint8Array | null {
  return target.input ? encodeAny(target.input) : null;
}
