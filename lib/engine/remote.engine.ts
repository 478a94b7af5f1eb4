import type { RemoteBackend } from '../client/index.js';
import type { DispatchEngine } from './engine.js';

/** A scheduler elsewhere: nothing runs here but what it asks for through the endpoint. */
export class RemoteEngine implements DispatchEngine {
  constructor(
    readonly backend: RemoteBackend,
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
    this.backend.close();
  }
}
