import type { Operation } from './operation.js';

/**
 * The operations of a run that have not settled, by sequence number, and how many of them somebody waits for. All
 * questions are answered in constant time: a run may have a hundred thousand.
 */
export class PendingOperations {
  private readonly bySequence = new Map<number, Operation>();
  private readonly timers = new Set<Operation & { kind: 'timer' }>();
  /** Settles nothing itself: calls that are pending and awaited by nobody. */
  private readonly forgotten = new Set<Operation & { kind: 'call' }>();
  private awaited = 0;
  private awaitedAlone = 0;

  add(operation: Operation): void {
    this.bySequence.set(operation.sequence, operation);
    if (operation.kind === 'timer') this.timers.add(operation);
    if (operation.awaited) this.countAwaited(operation);
    else if (operation.kind === 'call') this.forgotten.add(operation);
  }

  get(sequence: number): Operation | undefined {
    return this.bySequence.get(sequence);
  }

  has(operation: Operation): boolean {
    return this.bySequence.get(operation.sequence) === operation;
  }

  /** Notes that somebody continues with an operation. */
  await(operation: Operation, group: Operation['group']): void {
    if (operation.settled) return;
    const known = this.has(operation);
    if (!operation.awaited) {
      operation.awaited = true;
      operation.group = group;
      if (group !== undefined) group.outstanding++;
      if (!known) return;
      if (operation.kind === 'call') this.forgotten.delete(operation);
      this.countAwaited(operation);
    } else if (operation.group !== undefined && operation.group !== group) {
      // Awaited by more than the one `gather`: it counts alone from now on.
      operation.group.outstanding--;
      operation.group = undefined;
      if (known) this.awaitedAlone++;
    }
  }

  remove(operation: Operation): void {
    if (!this.has(operation)) return;
    this.bySequence.delete(operation.sequence);
    if (operation.kind === 'timer') this.timers.delete(operation);
    if (operation.kind === 'call') this.forgotten.delete(operation);
    if (!operation.awaited) return;
    this.awaited--;
    if (operation.group === undefined) this.awaitedAlone--;
    else operation.group.outstanding--;
  }

  private countAwaited(operation: Operation): void {
    this.awaited++;
    if (operation.group === undefined) this.awaitedAlone++;
  }

  all(): Operation[] {
    return [...this.bySequence.values()];
  }

  get size(): number {
    return this.bySequence.size;
  }

  /** Whether timers are all that is pending. */
  get areTimers(): boolean {
    return this.timers.size > 0 && this.timers.size === this.bySequence.size;
  }

  hasAwaited(): boolean {
    return this.awaited > 0;
  }

  /** Calls that nobody waits for: a method that ends before them polls until they have finished. */
  forgottenCalls(): ReadonlySet<Operation & { kind: 'call' }> {
    return this.forgotten;
  }

  /** How many results can come before anybody goes on: all of them while one `gather` is all that is awaited. */
  resultsWorthWaitingFor(): number {
    if (this.awaitedAlone > 0 || this.awaited === 0 || this.timers.size > 0) return 1;
    let group: Operation['group'];
    for (const operation of this.bySequence.values()) {
      if (operation.awaited) {
        group = operation.group;
        break;
      }
    }
    return group !== undefined && group.outstanding === this.awaited ? group.outstanding : 1;
  }

  /** When the first timer is due; milliseconds since 1970. */
  nextDeadline(): number | undefined {
    let next: number | undefined;
    for (const { deadline } of this.timers) if (next === undefined || deadline < next) next = deadline;
    return next;
  }

  /** Timers that are due, by deadline, then in the order in which they were made. */
  dueTimers(now: number): (Operation & { kind: 'timer' })[] {
    const due = [...this.timers].filter(({ deadline }) => deadline <= now);
    return due.sort((a, b) => a.deadline - b.deadline || a.sequence - b.sequence);
  }
}
