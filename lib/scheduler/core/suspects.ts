import type { EndpointEntry } from './endpoint-entry.js';
import { ReadyQueue } from './ready-queue.js';
import type { CallRecord } from './record.js';

/** From this many crashes in a row on, a call is suspected of ending the process. */
export const SUSPECT_AT = 2;

export const isSuspect = ({ progress }: CallRecord): boolean => progress.crashes >= SUSPECT_AT;

/** Suspects that may run now. Those that most crashes were counted for go first: one of them it is most likely to be. */
export class Suspects {
  /** By the number of crashes, from that on which makes them suspects. */
  private readonly queues: ReadyQueue[] = [];

  /** @param admits whether an endpoint may be given a call */
  constructor(private readonly admits: (endpoint: EndpointEntry) => boolean) {}

  get size(): number {
    return this.queues.reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether there are suspects that nothing but a free slot of the process is needed for. */
  get hasTurn(): boolean {
    return this.queues.some((queue) => queue.hasTurn);
  }

  has({ queue }: CallRecord): boolean {
    return this.queues.some((one) => one === queue);
  }

  push(call: CallRecord): void {
    const rank = call.progress.crashes - SUSPECT_AT;
    while (this.queues.length <= rank) this.queues.push(new ReadyQueue(this.admits));
    this.queues[rank]?.push(call);
  }

  take(): CallRecord | undefined {
    for (let rank = this.queues.length - 1; rank >= 0; rank--) {
      const call = this.queues[rank]?.take();
      if (call) return call;
    }
    return undefined;
  }
}
