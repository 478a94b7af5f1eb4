import { AbsentBackend } from '../client/index.js';
import type { DispatchEngine } from './engine.js';

/** No scheduler: the application only serves its endpoint. */
export class AbsentEngine implements DispatchEngine {
  readonly backend = new AbsentBackend();

  constructor(private readonly runner: { close(): void }) {}

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.runner.close();
    return Promise.resolve();
  }

  close(): void {
    // There is nothing to let go of.
  }
}
