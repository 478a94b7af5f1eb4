import { afterEach } from '@jest/globals';
import type { PostgresStoreOptions } from '../../lib/scheduler/index.js';
import { MortalStore, type TestDatabase } from './postgres.js';
import { TestTables } from './test-tables.js';

/** The stores of a test file, on a database of its own: those of one test share tables that are empty at its beginning. */
export class TestStores {
  private readonly stores: MortalStore[] = [];

  private constructor(private readonly tables: TestTables) {}

  /** To be called once, at the top of a file: opens the database before its tests, and closes what they have opened. */
  static use(): TestStores {
    const stores = new TestStores(TestTables.use());
    afterEach(async () => {
      await Promise.allSettled(stores.stores.splice(0).map((store) => store.close()));
    });
    return stores;
  }

  get database(): TestDatabase {
    return this.tables.database;
  }

  /** That of the running test's tables. */
  get schema(): string {
    return this.tables.schema;
  }

  async open(options?: PostgresStoreOptions): Promise<MortalStore> {
    const store = new MortalStore(this.database, this.tables.url, options);
    this.stores.push(store);
    await store.open();
    return store;
  }
}
