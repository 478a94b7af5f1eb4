import type { Backend } from '../client/index.js';
import type { DispatchEngine } from './engine.js';

/** No scheduler here: nothing runs but what one elsewhere asks for through the endpoint. */
export class RemoteEngine implements DispatchEngine {
  constructor(
    readonly backend: Backend & { close?(): void },
    private readonly runner: { close(): void },
  ) {}

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.runner.close();
    return Promise.resolve();
  }

  close(): void {
    this.backend.close?.();
  }
}
