import type { Backend } from '../client/index.js';

/** What starts and stops with the application: the scheduler in it, or the connections to one elsewhere. */
export interface DispatchEngine {
  readonly backend: Backend;
  start(): Promise<void>;
  /** Takes no more work; resolves when what is running has ended, or the grace is over. */
  stop(): Promise<void>;
  /** Lets go of connections. */
  close(): void;
}
