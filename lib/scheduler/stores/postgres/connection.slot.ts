import type { Connection } from './connection.js';

/** A connection that is opened when it is needed, and again after it was lost. */
export class ConnectionSlot {
  private connection: Connection | undefined;
  private opening: Promise<Connection> | undefined;
  private isClosed = false;

  constructor(private readonly open: () => Promise<Connection>) {}

  /** The connection, if it is there and works. */
  get current(): Connection | undefined {
    return this.connection?.isLost === false ? this.connection : undefined;
  }

  async get(): Promise<Connection> {
    if (this.isClosed) throw new Error('the store was closed');
    if (this.current) return this.current;
    this.opening ??= this.reopen();
    return this.opening;
  }

  /** Ends the connection once what was sent is answered; there is none from then on. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.opening?.catch(() => undefined);
    await this.connection?.close();
  }

  private async reopen(): Promise<Connection> {
    try {
      this.connection = await this.open();
      return this.connection;
    } finally {
      this.opening = undefined;
    }
  }
}
