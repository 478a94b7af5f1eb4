import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { PostgresStore, type PostgresStoreOptions } from '../../lib/scheduler/index.js';
import { PostgresServer } from './postgres.server.js';
import { placeOf, type Place } from './wire.js';

/** A database for the tests of one file: that of DISPATCH_TEST_DATABASE_URL, or one on a server of its own. */
export class TestDatabase {
  private readonly schemas: string[] = [];
  private readonly databases: string[] = [];

  private constructor(
    private address: string,
    private server: PostgresServer | undefined,
    private client: pg.Client,
    private standby?: PostgresServer,
  ) {}

  static async open(): Promise<TestDatabase> {
    const given = process.env['DISPATCH_TEST_DATABASE_URL'];
    const server = given ? undefined : await PostgresServer.start();
    const address = server?.url ?? given ?? '';
    return new TestDatabase(address, server, await connect(address));
  }

  /** On a server of its own with a synchronous standby, which `failOver` puts in its place. */
  static async openWithStandby(): Promise<TestDatabase> {
    const server = await PostgresServer.start();
    const standby = await server.addStandby();
    return new TestDatabase(server.url, server, await connect(server.url), standby);
  }

  /** Where the server is that has the database now. */
  get place(): Place {
    return placeOf(new URL(this.address));
  }

  /**
   * Has the server crash, be gone for a while, and come back. A server that is not the tests' own only loses all of our
   * connections.
   */
  async crash(forMilliseconds: number): Promise<void> {
    if (this.server === undefined) {
      await this.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'nestjs-dispatch%'",
      );
      return;
    }
    await this.server.halt();
    await delay(forMilliseconds);
    await this.server.resume();
    this.client = await connect(this.address);
  }

  /** The server crashes for ever, and its standby takes its place after a while. */
  async failOver(afterMilliseconds: number): Promise<void> {
    const { server, standby } = this;
    if (server === undefined || standby === undefined) throw new Error('there is no standby: use openWithStandby()');
    await server.halt();
    await delay(afterMilliseconds);
    this.server = standby;
    this.standby = undefined;
    this.address = standby.url;
    this.client = await connect(this.address);
    await this.query('SELECT pg_promote()');
    await server.stop();
  }

  /** The address of a store that is empty. */
  newUrl(): string {
    const schema = `test_${randomBytes(6).toString('hex')}`;
    this.schemas.push(schema);
    return this.urlOf(schema);
  }

  /** The address of a store, where the server is now. */
  urlOf(schema: string): string {
    const url = new URL(this.address);
    url.searchParams.set('schema', schema);
    return url.href;
  }

  /** The address of a database that is empty, on the same server. */
  async newDatabase(): Promise<string> {
    const name = `test_${randomBytes(6).toString('hex')}`;
    await this.query(`CREATE DATABASE ${name}`);
    this.databases.push(name);
    const url = new URL(this.address);
    url.pathname = `/${name}`;
    return url.href;
  }

  async query(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.client.query<Record<string, unknown>>(text, values)).rows;
  }

  /** Lets the processes of a store count as dead, without waiting for the end of their leases. */
  async expire(url: string): Promise<void> {
    await this.query(`UPDATE ${schemaOf(url)}.processes SET ended_at = now() WHERE ended_at IS NULL`);
  }

  async close(): Promise<void> {
    for (const schema of this.schemas) await this.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
    for (const name of this.databases) await this.query(`DROP DATABASE IF EXISTS ${name}`);
    await this.client.end();
    await this.server?.stop();
    await this.standby?.stop();
  }
}

async function connect(address: string): Promise<pg.Client> {
  const client = new pg.Client(address);
  // The server ends it when it crashes.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** The address without what only the store understands. */
export function withoutSchema(url: string): string {
  const address = new URL(url);
  address.searchParams.delete('schema');
  return address.href;
}

export const schemaOf = (url: string): string => new URL(url).searchParams.get('schema') ?? 'dispatch';

/** A store whose process can be let die. */
export class MortalStore extends PostgresStore {
  constructor(
    private readonly database: TestDatabase,
    private readonly url: string,
    options: PostgresStoreOptions = {},
  ) {
    super(url, options);
  }

  /** Leaves what the death of its process would: what it had sent is done, and nothing more. */
  async die(): Promise<void> {
    // The answer comes when all marks that were sent before are written, and that of another one when those are that waited for them.
    await this.unwatch([]);
    await this.unwatch([]);
    await this.database.expire(this.url);
  }
}
