import { afterAll, beforeAll, beforeEach } from '@jest/globals';
import { schemaOf, TestDatabase } from './postgres.js';

/** Where the tests of a file have their tables: a database of their own, and in it an empty store for each test. */
export class TestTables {
  private opened: TestDatabase | undefined;
  private address = '';

  private constructor() {}

  /** To be called once, at the top of a file: the database is open while its tests run. */
  static use(): TestTables {
    const tables = new TestTables();
    beforeAll(async () => {
      tables.opened = await TestDatabase.open();
    });
    beforeEach(() => {
      tables.address = tables.database.newUrl();
    });
    afterAll(() => tables.database.close());
    return tables;
  }

  get database(): TestDatabase {
    if (this.opened === undefined) throw new Error('the database is open only while tests run');
    return this.opened;
  }

  /** Where the store of the running test is. */
  get url(): string {
    return this.address;
  }

  get schema(): string {
    return schemaOf(this.address);
  }
}
