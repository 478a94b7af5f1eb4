import type { Connection } from './connection.js';
import { ConnectionSlot } from './connection.slot.js';

/** Connections for reading, so that no reader waits for a commit, and a short read seldom for a long one. */
export class Readers {
  private readonly lanes: { readonly slot: ConnectionSlot; busy: number }[];

  constructor(count: number, open: () => Promise<Connection>) {
    this.lanes = Array.from({ length: count }, () => ({ slot: new ConnectionSlot(open), busy: 0 }));
  }

  /** Reads on the connection that has the least to do; once more where that connection turns out to be lost. */
  async read<T>(action: (connection: Connection) => Promise<T>): Promise<T> {
    const lane = this.lanes.reduce((least, other) => (other.busy < least.busy ? other : least));
    lane.busy += 1;
    try {
      const connection = await lane.slot.get();
      try {
        return await action(connection);
      } catch (error) {
        if (!connection.isLost) throw error;
        return await action(await lane.slot.get());
      }
    } finally {
      lane.busy -= 1;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.lanes.map(({ slot }) => slot.close()));
  }
}
