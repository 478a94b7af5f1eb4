import type { Backend } from '../client/index.js';
import type { BridgePoller } from './bridge.poller.js';
import type { DispatchEngine } from './engine.js';

/** No scheduler here: nothing runs but what one elsewhere asks for, through the endpoint or over the bridge. */
export class RemoteEngine implements DispatchEngine {
  constructor(
    readonly backend: Backend & { close?(): void },
    private readonly runner: { close(): void },
    private readonly bridge?: BridgePoller,
  ) {}

  start(): Promise<void> {
    this.bridge?.start();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    await this.bridge?.stop();
    this.runner.close();
  }

  close(): void {
    this.backend.close?.();
  }
}
