/**
 * The mutations of a commit as numbers, texts and bytes, read in the order in which they were written. They cross to
 * another thread at a fraction of what the objects would cost there. The numbers say where texts and bytes end.
 */
export interface Tape {
  readonly numbers: Float64Array<ArrayBuffer>;
  /** One by one, or all in one for another thread. */
  readonly texts: readonly string[] | string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What comes next on a tape. */
export const Op = {
  CREATE: 0,
  /** A call that ended in the commit that creates it: one write instead of two. */
  CREATE_FINISHED: 1,
  PROGRESS: 2,
  REPLACE: 3,
  REPLACE_TARGET: 4,
  APPEND: 5,
  /** An append and the progress that follows it: one write instead of two. */
  ADVANCE: 6,
  STATE: 7,
  FINISH: 8,
  PURGE: 9,
} as const;

/** Reads a tape from its beginning. */
export class TapeReader {
  private numbersAt = 0;
  private textAt = 0;
  private bytesAt = 0;

  constructor(private readonly tape: Tape) {}

  get isAtEnd(): boolean {
    return this.numbersAt >= this.tape.numbers.length;
  }

  number(): number {
    const value = this.tape.numbers[this.numbersAt++];
    if (value === undefined) throw new RangeError('the tape of a commit ends too early');
    return value;
  }

  optional(): number | null {
    const value = this.number();
    return Number.isNaN(value) ? null : value;
  }

  text(): string {
    const { texts } = this.tape;
    const length = this.number();
    if (typeof texts === 'string') {
      this.textAt += length;
      return texts.slice(this.textAt - length, this.textAt);
    }
    const text = texts[this.textAt++];
    if (text === undefined) throw new RangeError('the tape of a commit has too few texts');
    return text;
  }

  /** null: none was written. */
  blob(): Uint8Array | null {
    const length = this.number();
    if (length < 0) return null;
    this.bytesAt += length;
    return this.tape.bytes.subarray(this.bytesAt - length, this.bytesAt);
  }
}
