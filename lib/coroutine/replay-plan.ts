import type { Operation as RecordedOperation, Round } from '../gen/nestjs_dispatch/v1/journal_pb.js';
import { isInputHash } from '../values/index.js';
import { formerIdentityOf, identityOf, identityOfRecorded, type Identity, type Operation } from './operation.js';

interface Expected {
  readonly recorded: RecordedOperation;
  readonly round: number;
  readonly subject: string;
  made: boolean;
}

export interface Pair {
  readonly operation: Operation;
  readonly expected: Expected;
}

interface Queue {
  readonly expected: Expected[];
  head: number;
}

/**
 * What a replay has to do again. An operation is matched by what it is (function and input, timer, step) and by how many
 * of the same came before it, not by a global order: branches that do I/O of their own come back in any order.
 */
export class ReplayPlan {
  private readonly queues = new Map<string, Queue>();
  private readonly byRound: Expected[][] = [];
  private readonly missingIn: number[] = [];
  /** The last round so far that begins with a delivery: what was made before that counts for the round before. */
  private lastDelivery = 0;
  /** All rounds before this one are complete. */
  private complete = 0;
  /** It has hashes of inputs, of which those of earlier versions come first. */
  private hasHashes = false;

  constructor(readonly rounds: readonly Round[]) {
    rounds.forEach((round, index) => this.addRound(round, index));
  }

  private addRound(round: Round, index: number): void {
    if (round.delivery !== undefined) this.lastDelivery = index;
    this.byRound.push([]);
    this.missingIn.push(0);
    for (const recorded of round.operations) {
      const { kind } = recorded;
      if (kind.case === 'call' && isInputHash(kind.value.inputKey)) this.hasHashes = true;
      const { subject, detail } = identityOfRecorded(recorded);
      const open = recorded.beforeDelivery ? Math.max(0, this.lastDelivery - 1) : index;
      const one: Expected = { recorded, round: open, subject, made: false };
      this.byRound[open]?.push(one);
      this.missingIn[open] = (this.missingIn[open] ?? 0) + 1;
      const key = keyOf(subject, detail);
      const queue = this.queues.get(key);
      if (queue === undefined) this.queues.set(key, { expected: [one], head: 0 });
      else queue.expected.push(one);
    }
  }

  /** The recorded operation that this one repeats, or undefined where the journal has no more of its kind. */
  take(operation: Operation): RecordedOperation | undefined {
    return (
      (this.hasHashes ? this.takeAs(formerIdentityOf(operation)) : undefined) ?? this.takeAs(identityOf(operation))
    );
  }

  private takeAs({ subject, detail }: Identity): RecordedOperation | undefined {
    const queue = this.queues.get(keyOf(subject, detail));
    if (queue === undefined) return undefined;
    while (queue.expected[queue.head]?.made === true) queue.head++;
    const expected = queue.expected[queue.head];
    if (expected === undefined) return undefined;
    queue.head++;
    this.markMade(expected);
    return expected.recorded;
  }

  /** Whether all operations of the rounds up to this one, it included, were made again. */
  isComplete(round: number): boolean {
    while (this.complete <= round && (this.missingIn[this.complete] ?? 0) === 0) this.complete++;
    return this.complete > round;
  }

  /** The operations of the rounds up to this one that were not made again yet. */
  missing(round: number): RecordedOperation[] {
    return this.missingUpTo(round).map(({ recorded }) => recorded);
  }

  /**
   * Pairs operations that the journal does not have with recorded ones that differ in their input alone (it holds a clock
   * or a random value): the only one of its function in its round, the only one of its function that was made, and both
   * made at once, without I/O before them, which could have changed their order.
   */
  alike(round: number, unmatched: readonly Operation[]): Pair[] {
    const pairs: Pair[] = [];
    const bySubject = new Map<string, Operation[]>();
    for (const operation of unmatched) {
      const { subject } = identityOf(operation);
      const made = bySubject.get(subject);
      if (made === undefined) bySubject.set(subject, [operation]);
      else made.push(operation);
    }
    for (const expected of this.missingUpTo(round)) {
      const { subject, recorded } = expected;
      const made = bySubject.get(subject) ?? [];
      const inRound = (this.byRound[expected.round] ?? []).filter((other) => other.subject === subject);
      const [operation] = made;
      if (operation === undefined || made.length !== 1 || inRound.length !== 1) continue;
      if (recorded.prompt && operation.prompt) pairs.push({ operation, expected });
    }
    return pairs.filter(({ operation }, index) => pairs.findIndex((pair) => pair.operation === operation) === index);
  }

  /** Takes an operation for the recorded one that it is like. */
  accept({ expected }: Pair): RecordedOperation {
    this.markMade(expected);
    return expected.recorded;
  }

  private missingUpTo(round: number): Expected[] {
    return this.byRound.slice(this.complete, round + 1).flatMap((all) => all.filter(({ made }) => !made));
  }

  private markMade(expected: Expected): void {
    expected.made = true;
    this.missingIn[expected.round] = (this.missingIn[expected.round] ?? 0) - 1;
  }
}

const keyOf = (subject: string, detail: string): string => `${subject}\0${detail}`;
