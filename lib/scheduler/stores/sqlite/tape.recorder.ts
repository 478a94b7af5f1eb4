import type { CallProgress, CallTarget, FinishedCall, Mutation } from '../../store.js';
import { encodeAny, encodeResult } from '../../../protocol/index.js';
import { stateCode } from '../call.codes.js';
import { highHalf, lowHalf } from './rows.js';
import { Op, type Tape } from './tape.js';

const FIRST_NUMBERS = 4 * 1024;
const FIRST_BYTES = 64 * 1024;
/** More memory than that, which one commit needed, is not kept for the next. */
const MOST_BYTES_KEPT = 4 * 1024 * 1024;

type Of<T extends Mutation['type']> = Extract<Mutation, { readonly type: T }>;

/** Writes tapes, one after the other, in the same memory: a tape holds until the next. It numbers the calls that are created. */
export class TapeRecorder {
  private numbers = new Float64Array(FIRST_NUMBERS);
  private bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  private texts: string[] = [];
  private numbersEnd = 0;
  private bytesEnd = 0;

  /** @param lastSeq the number of the last call that is there */
  constructor(private lastSeq: number) {}

  record(mutations: readonly Mutation[]): Tape {
    this.begin();
    const ends = endsOfNewCalls(mutations);
    for (let index = 0; index < mutations.length; index++) {
      const mutation = mutations[index] as Mutation;
      if (mutation.type === 'create') {
        this.create(mutation, ends?.get(mutation.header.id));
      } else if (mutation.type === 'append' && this.advance(mutation, mutations[index + 1])) {
        index += 1;
      } else if (mutation.type !== 'finish' || ends?.has(mutation.id) !== true) {
        this.write(mutation);
      }
    }
    return {
      numbers: this.numbers.subarray(0, this.numbersEnd),
      texts: this.texts,
      bytes: new Uint8Array(this.bytes.buffer, 0, this.bytesEnd),
    };
  }

  private begin(): void {
    if (this.bytes.length > MOST_BYTES_KEPT) this.bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
    if (this.numbers.byteLength > MOST_BYTES_KEPT) this.numbers = new Float64Array(FIRST_NUMBERS);
    this.texts = [];
    this.numbersEnd = 0;
    this.bytesEnd = 0;
  }

  private create({ header, target, progress }: Of<'create'>, end: FinishedCall | undefined): void {
    this.number(end === undefined ? Op.CREATE : Op.CREATE_FINISHED);
    this.text(header.id);
    this.text(header.rootId);
    this.text(header.parentId);
    this.number(++this.lastSeq);
    this.number(highHalf(header.correlationId));
    this.number(lowHalf(header.correlationId));
    this.number(header.parentIncarnation);
    this.number(header.createdAt);
    this.optional(header.expiresAt);
    this.number(header.priority);
    this.text(header.key);
    this.target(target);
    this.progress(progress);
    if (end) this.end(end);
  }

  /** Writes an append together with the progress that comes next; false where something else does. */
  private advance({ id, journal, position }: Of<'append'>, next: Mutation | undefined): boolean {
    if (next?.type !== 'progress' || next.id !== id) return false;
    this.number(Op.ADVANCE);
    this.text(id);
    this.number(position.bytes);
    this.number(position.digest);
    this.blob(journal);
    this.progress(next.progress);
    return true;
  }

  private write(mutation: Exclude<Mutation, Of<'create'>>): void {
    switch (mutation.type) {
      case 'progress':
        this.number(Op.PROGRESS);
        this.text(mutation.id);
        return this.progress(mutation.progress);
      case 'replace':
        this.number(mutation.target ? Op.REPLACE_TARGET : Op.REPLACE);
        this.text(mutation.id);
        this.progress(mutation.progress);
        if (mutation.target) this.target(mutation.target);
        return;
      case 'append':
        this.number(Op.APPEND);
        this.text(mutation.id);
        this.number(mutation.position.bytes);
        this.number(mutation.position.digest);
        return this.blob(mutation.journal);
      case 'state':
        this.number(Op.STATE);
        this.text(mutation.id);
        this.number(mutation.typed ? 1 : 0);
        return this.blob(mutation.state);
      case 'finish':
        this.number(Op.FINISH);
        this.text(mutation.id);
        return this.end(mutation.finished);
      case 'purge':
        for (const id of mutation.ids) {
          this.number(Op.PURGE);
          this.text(id);
        }
        return;
    }
  }

  private target({ endpoint, function: name, version, input }: CallTarget): void {
    this.text(endpoint);
    this.text(name);
    this.text(version);
    if (input === undefined) this.number(-1);
    else this.blob(encodeAny(input));
  }

  private progress(progress: CallProgress): void {
    this.number(stateCode(progress.state));
    this.number(progress.dueAt);
    this.number(progress.attempt);
    this.number(progress.crashes);
    this.number(progress.incarnation);
    this.number(progress.delivered);
    this.number(progress.minResults);
    this.number(progress.maxResults);
    this.optional(progress.wakeAt);
    this.optional(progress.cancelBy);
  }

  private end({ state, status, finishedAt, inbox, result }: FinishedCall): void {
    this.number(stateCode(state));
    this.number(status);
    this.number(finishedAt);
    this.number(inbox);
    this.blob(encodeResult(result));
  }

  private text(value: string): void {
    this.texts.push(value);
    this.number(value.length);
  }

  private number(value: number): void {
    // A purge has as many numbers as calls.
    if (this.numbersEnd === this.numbers.length) this.makeMoreNumbers();
    this.numbers[this.numbersEnd++] = value;
  }

  private optional(value: number | undefined): void {
    this.number(value ?? NaN);
  }

  private blob(value: Uint8Array): void {
    const end = this.bytesEnd + value.length;
    if (end > this.bytes.length) this.grow(end);
    this.bytes.set(value, this.bytesEnd);
    this.bytesEnd = end;
    this.number(value.length);
  }

  private makeMoreNumbers(): void {
    const more = new Float64Array(2 * this.numbers.length);
    more.set(this.numbers);
    this.numbers = more;
  }

  private grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.bytes.length));
    this.bytes.copy(larger, 0, 0, this.bytesEnd);
    this.bytes = larger;
  }
}

/** How calls end that are created in the same commit. Undefined where there are none, or something else is done to one. */
function endsOfNewCalls(mutations: readonly Mutation[]): ReadonlyMap<string, FinishedCall> | undefined {
  let created: Set<string> | undefined;
  let ends: Map<string, FinishedCall> | undefined;
  for (const mutation of mutations) {
    if (mutation.type === 'create') (created ??= new Set()).add(mutation.header.id);
    if (created === undefined || mutation.type === 'create' || mutation.type === 'purge') continue;
    if (ends?.has(mutation.id)) return undefined;
    if (!created.has(mutation.id)) continue;
    if (mutation.type === 'finish') (ends ??= new Map<string, FinishedCall>()).set(mutation.id, mutation.finished);
    else created.delete(mutation.id);
  }
  return ends;
}
