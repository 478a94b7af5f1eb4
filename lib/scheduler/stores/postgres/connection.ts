import type { Client, Notification } from 'pg';
import type { PostgresDriver } from './driver.js';
import { isConnectionLoss } from './errors.js';

/** A statement of the store. The name is that of the plan which the server keeps for the connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export type SqlValue = string | number | bigint | boolean | Buffer | null;
export type SqlRow = readonly unknown[];

export interface Answer {
  readonly rows: readonly SqlRow[];
  /** Rows that were written or read. */
  readonly count: number;
}

export interface ConnectionParts {
  readonly driver: PostgresDriver;
  readonly connectionString: string;
  /** What `pg_stat_activity` shows. */
  readonly applicationName: string;
  /** Is sent first: settings of the session. */
  readonly settings: string;
  readonly onNotification?: (channel: string, payload: string) => void;
  readonly onLoss?: () => void;
}

/** How long the server may take to answer: beyond that the connection counts as lost, in milliseconds. */
const ANSWER_TIMEOUT = 60_000;
const CONNECT_TIMEOUT = 10_000;

/**
 * One connection. Statements are sent at once, without waiting for the answers to those before, and are answered in
 * order. It is never repaired: whoever finds it lost opens another one.
 */
export class Connection {
  isLost = false;

  private constructor(
    private readonly client: Client,
    private readonly onLoss: (() => void) | undefined,
  ) {}

  static async open(parts: ConnectionParts): Promise<Connection> {
    const client = new parts.driver.Client({
      connectionString: parts.connectionString,
      application_name: parts.applicationName,
      connectionTimeoutMillis: CONNECT_TIMEOUT,
      query_timeout: ANSWER_TIMEOUT,
      keepAlive: true,
      pipeline: true,
    });
    const connection = new Connection(client, parts.onLoss);
    client.on('error', () => connection.lose());
    client.on('end', () => connection.lose());
    const { onNotification } = parts;
    if (onNotification) {
      client.on('notification', ({ channel, payload }: Notification) => onNotification(channel, payload ?? ''));
    }
    try {
      await client.connect();
      await connection.script(parts.settings);
    } catch (error) {
      connection.lose();
      throw error;
    }
    return connection;
  }

  /** Sends a statement that is used often, so that the server plans it once. */
  async run(statement: Statement, values: readonly SqlValue[] = []): Promise<Answer> {
    return this.send({ name: statement.name, text: statement.text, values: [...values], rowMode: 'array' });
  }

  /** Sends a statement that is used seldom, or is put together anew each time. */
  async query(text: string, values: readonly SqlValue[] = []): Promise<Answer> {
    return this.send({ text, values: [...values], rowMode: 'array' });
  }

  /** Sends several statements in one text. */
  async script(text: string): Promise<void> {
    await this.guard(this.client.query(text));
  }

  /** Ends it in order: what was sent is answered first. */
  async close(): Promise<void> {
    if (this.isLost) return;
    this.isLost = true;
    await this.client.end().catch(() => undefined);
  }

  private async send(query: { name?: string; text: string; values: SqlValue[]; rowMode: 'array' }): Promise<Answer> {
    const { rows, rowCount } = await this.guard(this.client.query<unknown[]>(query));
    return { rows, count: rowCount ?? 0 };
  }

  private async guard<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (isConnectionLoss(error)) this.lose();
      throw error;
    }
  }

  private lose(): void {
    if (this.isLost) return;
    this.isLost = true;
    void this.client.end().catch(() => undefined);
    this.onLoss?.();
  }
}
