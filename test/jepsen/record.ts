import { migrate } from '../../lib/scheduler/index.js';
import { noteFinishes } from '../support/finish-trigger.js';
import { schemaOf, type TestDatabase } from '../support/postgres.js';

/** Tables of the test's own, beside those of the store: what functions did, and each end that was recorded. */
export class Record {
  readonly schema: string;
  readonly store: string;

  private constructor(private readonly database: TestDatabase) {
    this.store = schemaOf(database.newUrl());
    this.schema = schemaOf(database.newUrl());
  }

  /** The address of the store. */
  get url(): string {
    return this.database.urlOf(this.store);
  }

  static async make(database: TestDatabase): Promise<Record> {
    const record = new Record(database);
    await migrate(record.url);
    await record.create();
    return record;
  }

  private async create(): Promise<void> {
    const { schema, store, database } = this;
    await database.query(`CREATE SCHEMA ${schema}`);
    await database.query(`
      CREATE TABLE ${schema}.effects (
        call text NOT NULL, attempt int NOT NULL, path text NOT NULL, process int NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp())`);
    await noteFinishes(database, store, schema);
  }

  /** The number under which a process is registered now: it has another one after it was declared dead. */
  async memberOf(pid: number): Promise<number | undefined> {
    const [row] = await this.database.query(
      `SELECT max(id)::int AS id FROM ${this.store}.processes WHERE name LIKE $1 AND ended_at IS NULL`,
      [`% pid ${pid}`],
    );
    return (row?.['id'] as number | null) ?? undefined;
  }

  async isDead(member: number): Promise<boolean> {
    return (await this.count(`${this.store}.processes WHERE id = ${member} AND ended_at IS NOT NULL`)) === 1;
  }

  /** Lets all processes have ended long ago, so that what they left behind can be removed. */
  async age(): Promise<void> {
    await this.database.query(`UPDATE ${this.store}.processes SET ended_at = ended_at - interval '2 days'`);
  }

  async figures(): Promise<{ calls: number; members: number; repeated: number }> {
    const { store, schema } = this;
    return {
      calls: await this.count(`${store}.calls`),
      members: await this.count(`${store}.processes`),
      repeated: await this.count(`(SELECT FROM ${schema}.effects GROUP BY call HAVING count(*) > 1) AS call`),
    };
  }

  /** What is left in the store beside calls that have ended, once nobody is there any more. */
  async leftovers(): Promise<string[]> {
    const tables = await this.database.query(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = $1 AND table_name <> ALL ($2)`,
      [this.store, ['calls', 'processes', 'store_version']],
    );
    const found: string[] = [];
    const dead = await this.count(`${this.store}.processes WHERE ended_at < now() - interval '1 day'`);
    if (dead > 0) found.push(`${dead} processes that ended a day ago are still listed`);
    for (const { name } of tables) {
      const rows = await this.count(`${this.store}.${String(name)}`);
      if (rows > 0) found.push(`${rows} rows are left in ${String(name)}`);
    }
    return found;
  }

  /** Counts rows: `${store}.calls WHERE …`. */
  async count(rows: string): Promise<number> {
    const [row] = await this.database.query(`SELECT count(*)::int AS n FROM ${rows}`);
    return Number(row?.['n']);
  }
}
