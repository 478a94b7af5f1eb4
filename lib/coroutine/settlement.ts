import type { CallResult } from '../gen/dispatch/sdk/v1/call_pb.js';
import type { Delivery, StepResult } from '../gen/nestjs_dispatch/v1/journal_pb.js';
import { CancelledError } from '../errors/index.js';
import { callResult } from '../protocol/index.js';
import { unpack, unpackError } from '../values/index.js';
import type { Operation } from './operation.js';
import type { PendingOperations } from './pending-operations.js';
import type { CompletedStep } from './steps.js';

/** Settles pending operations with what was delivered: the same way live and on replay. */
export class Settlement {
  /** Errors that came to the function as durable results. */
  readonly deliveredErrors = new WeakSet<object>();
  cancelled = false;

  constructor(
    private readonly pending: PendingOperations,
    private readonly incarnation: number,
    /** For the error of a cancelled call. */
    private readonly title: string,
  ) {}

  /**
   * Results that the function waits for: not of another incarnation, not a second time. Their numbers say which calls they
   * are of; the ids would be a third of the journal.
   */
  accept(results: readonly CallResult[]): CallResult[] {
    const seen = new Set<number>();
    const accepted = results.filter((result) => {
      const sequence = this.sequenceOf(result);
      if (sequence === undefined || seen.has(sequence)) return false;
      seen.add(sequence);
      return this.pending.get(sequence)?.kind === 'call';
    });
    return accepted.map(({ correlationId, output, error }) => callResult('', correlationId, output, error));
  }

  /** Settles all that a delivery names, in its order, in one synchronous pass. */
  hand({ results, timers, steps, cancelled }: Delivery): void {
    for (const result of results) this.settleCall(result);
    for (const sequence of timers) this.settle(sequence, 'timer', undefined);
    for (const step of steps) this.settleRecordedStep(step);
    if (cancelled) this.cancelAll();
  }

  /** Settles a step of this process, whose result is on disk. */
  settleStep({ operation, result, value, error }: CompletedStep): void {
    this.pending.remove(operation);
    operation.settled = true;
    if (result.error === undefined) operation.promise.resolve(value);
    else this.fail(operation, error instanceof Error ? error : unpackError(result.error));
  }

  private settleCall(result: CallResult): void {
    const sequence = this.sequenceOf(result) ?? 0;
    if (result.error === undefined) return this.settle(sequence, 'call', () => unpack(result.output));
    const { error } = result;
    this.settle(sequence, 'call', (operation) => {
      throw unpackError(error, { function: operation.kind === 'call' ? operation.spec.function : undefined });
    });
  }

  private settleRecordedStep({ sequence, output, error }: StepResult): void {
    this.settle(sequence, 'step', () => {
      if (error !== undefined) throw unpackError(error);
      return unpack(output);
    });
  }

  private settle(
    sequence: number,
    kind: Operation['kind'],
    read: ((operation: Operation) => unknown) | undefined,
  ): void {
    const operation = this.pending.get(sequence);
    if (operation?.kind !== kind) return;
    this.pending.remove(operation);
    operation.settled = true;
    try {
      operation.promise.resolve(read?.(operation));
    } catch (error) {
      this.fail(operation, error);
    }
  }

  private cancelAll(): void {
    this.cancelled = true;
    for (const operation of this.pending.all()) {
      this.pending.remove(operation);
      operation.settled = true;
      this.fail(operation, new CancelledError(`${this.title} was cancelled.`));
    }
  }

  /** A durable failure: to end with it is final, for a replay would only repeat it. */
  private fail(operation: Operation, error: unknown): void {
    if (typeof error === 'object' && error !== null) this.deliveredErrors.add(error);
    operation.promise.reject(error);
  }

  private sequenceOf({ correlationId }: CallResult): number | undefined {
    return Number(correlationId >> 32n) === this.incarnation ? Number(correlationId & 0xffffffffn) : undefined;
  }
}
