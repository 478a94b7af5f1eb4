import { expect } from '@jest/globals';
import { schemaOf, type TestDatabase } from './postgres.js';

/** Each time that an end of a call is stored, with the process that had the call: noted in the transaction itself. */
export class Finishes {
  private constructor(
    private readonly database: TestDatabase,
    private readonly schema: string,
  ) {}

  /** @param url of a store whose tables are there */
  static async record(database: TestDatabase, url: string): Promise<Finishes> {
    const schema = schemaOf(url);
    await database.query(`CREATE TABLE ${schema}.finishes (id text, owner bigint)`);
    await database.query(`
      CREATE FUNCTION ${schema}.note_finish() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO ${schema}.finishes VALUES (NEW.id, NEW.owner); RETURN NULL; END $$`);
    await database.query(`
      CREATE TRIGGER finished AFTER INSERT OR UPDATE OF finished_at ON ${schema}.calls
      FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL) EXECUTE FUNCTION ${schema}.note_finish()`);
    return new Finishes(database, schema);
  }

  async all(): Promise<{ id: string; owner: number }[]> {
    const rows = await this.database.query(`SELECT id, owner::int AS owner FROM ${this.schema}.finishes`);
    return rows.map(({ id, owner }) => ({ id: String(id), owner: Number(owner) }));
  }

  async expectEachOnce(calls: number): Promise<void> {
    const ids = (await this.all()).map(({ id }) => id);
    expect(new Set(ids).size).toBe(calls);
    expect(ids).toHaveLength(calls);
  }
}
