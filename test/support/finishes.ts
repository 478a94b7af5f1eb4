import { expect } from '@jest/globals';
import { noteFinishes } from './finish-trigger.js';
import { schemaOf, type TestDatabase } from './postgres.js';

/** Each time that an end of a call is stored, with the process that had the call: noted in the transaction itself. */
export class Finishes {
  private constructor(
    private readonly database: TestDatabase,
    private readonly table: string,
  ) {}

  /** @param url of a store whose tables are there */
  static async record(database: TestDatabase, url: string): Promise<Finishes> {
    const schema = schemaOf(url);
    return new Finishes(database, await noteFinishes(database, schema, schema));
  }

  async all(): Promise<{ id: string; owner: number }[]> {
    const rows = await this.database.query(`SELECT id, owner::int AS owner FROM ${this.table}`);
    return rows.map(({ id, owner }) => ({ id: String(id), owner: Number(owner) }));
  }

  async expectEachOnce(calls: number): Promise<void> {
    const ids = (await this.all()).map(({ id }) => id);
    expect(new Set(ids).size).toBe(calls);
    expect(ids).toHaveLength(calls);
  }
}
