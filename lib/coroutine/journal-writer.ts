import type { Delivery, Round } from '../gen/nestjs_dispatch/v1/journal_pb.js';
import { EMPTY_JOURNAL, type JournalPosition } from '../protocol/index.js';
import { advance, makeRound } from './journal.js';
import { encodeRounds } from './journal-encoding.js';
import { record, type Operation } from './operation.js';

const NOTHING = new Uint8Array();

/** Writes a run's journal: the open round, the rounds that nobody has been told of, and where all of it ends. */
export class JournalWriter {
  /** Where the journal ends; equal to the scheduler's while nothing was lost between the two. */
  position: JournalPosition = EMPTY_JOURNAL;
  entries = 0;
  private delivery: Delivery | undefined;
  private operations: Operation[] = [];
  private closed: Round[] = [];
  private untold: Operation[] = [];
  private readonly chunks: Uint8Array[] = [];
  private begun = false;

  /** @param version of the function; empty for none */
  constructor(private readonly version: string) {}

  /** Goes on behind a journal that was read. */
  continue(
    journal: Uint8Array,
    position: JournalPosition,
    rounds: readonly Round[],
    { keep }: { keep: boolean },
  ): void {
    this.position = position;
    this.begun = rounds.length > 0;
    if (keep) this.chunks.push(journal);
    for (const round of rounds) this.entries += entriesOf(round);
  }

  /** Notes an operation of the open round. */
  add(operation: Operation): void {
    this.operations.push(operation);
    this.untold.push(operation);
  }

  /** Ends the open round and begins the next, with what it is handed. */
  open(delivery: Delivery): void {
    this.close();
    this.delivery = delivery;
  }

  /** Operations that the scheduler has not been told of: the last ones that were made. */
  get countUntold(): number {
    return this.untold.length;
  }

  /** Operations that the scheduler has not been told of: it is told now. */
  takeUntold(): Operation[] {
    const untold = this.untold;
    this.untold = [];
    return untold;
  }

  /**
   * Ends the open round after so many operations of it, and returns what was written since the last time, with the
   * operations in it that the scheduler is told of now. The others are a round of their own.
   */
  takePart(most: number): { journal: Uint8Array; told: Operation[] } {
    const later = this.operations;
    this.operations = later.splice(0, most);
    const told = this.untold.splice(0, this.untold.length - later.length);
    const journal = this.take({ keep: false });
    this.operations = later;
    return { journal, told };
  }

  /** Ends the open round and returns what was written since the last time. `keep`: for `whole()`. */
  take({ keep }: { keep: boolean }): Uint8Array {
    this.close();
    if (this.closed.length === 0) return NOTHING;
    const chunk = encodeRounds(this.closed, this.begun ? '' : this.version);
    this.begun = true;
    this.closed = [];
    this.append(chunk, { keep });
    return chunk;
  }

  append(chunk: Uint8Array, { keep }: { keep: boolean }): void {
    this.position = advance(this.position, chunk);
    if (keep) this.chunks.push(chunk);
  }

  /** All that was kept: the state for a scheduler that wants it whole. */
  whole(): Uint8Array {
    const [only] = this.chunks;
    return this.chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.chunks);
  }

  private close(): void {
    if (this.delivery === undefined && this.operations.length === 0) return;
    const round = makeRound(this.delivery, this.operations.map(record));
    this.entries += entriesOf(round);
    this.closed.push(round);
    this.delivery = undefined;
    this.operations = [];
  }
}

const entriesOf = ({ operations, delivery }: Round): number =>
  operations.length +
  (delivery === undefined ? 0 : delivery.results.length + delivery.timers.length + delivery.steps.length);
