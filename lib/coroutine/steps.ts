import { create } from '@bufbuild/protobuf';
import { StepResultSchema, type StepResult } from '../gen/nestjs_dispatch/v1/journal_pb.js';
import { pack, packError, unpack } from '../values/index.js';
import type { StepOperation } from './operation.js';

export interface CompletedStep {
  readonly operation: StepOperation;
  /** As the journal keeps it. */
  readonly result: StepResult;
  /** What the function sees: for a value, what a replay would read back. */
  readonly value?: unknown;
  readonly error?: unknown;
}

/** The steps of a run: those that may not run yet, those that run, and those whose results are not on disk. */
export class Steps {
  running = 0;
  private held: StepOperation[] = [];
  private completed: CompletedStep[] = [];

  /** Keeps a step back until `start`: during a replay, or while nobody has asked for a run. */
  hold(step: StepOperation): void {
    this.held.push(step);
  }

  get hasHeld(): boolean {
    return this.held.length > 0;
  }

  get hasCompleted(): boolean {
    return this.completed.length > 0;
  }

  /** Whether a step runs or waits for its result to be written. */
  get inProgress(): boolean {
    return this.running > 0 || this.completed.length > 0;
  }

  /** Starts the steps that were kept back, but those that the journal has settled. */
  start(run: (step: StepOperation) => Promise<unknown>, functionName: string, onCompleted: () => void): void {
    if (this.held.length === 0) return;
    const steps = this.held;
    this.held = [];
    for (const step of steps) {
      if (step.settled) continue;
      this.running++;
      void complete(step, run, functionName).then((completed) => {
        this.running--;
        this.completed.push(completed);
        onCompleted();
      });
    }
  }

  takeCompleted(): CompletedStep[] {
    const completed = this.completed;
    this.completed = [];
    return completed;
  }
}

async function complete(
  operation: StepOperation,
  run: (step: StepOperation) => Promise<unknown>,
  functionName: string,
): Promise<CompletedStep> {
  const { sequence } = operation;
  try {
    const output = pack(await run(operation), 'step()');
    return { operation, value: unpack(output), result: create(StepResultSchema, { sequence, output }) };
  } catch (error) {
    const wire = packError(error, { function: `step of ${functionName}` });
    return { operation, error, result: create(StepResultSchema, { sequence, error: wire }) };
  }
}
