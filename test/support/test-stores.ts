import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import type { PostgresStoreOptions } from '../../lib/scheduler/index.js';
import { MortalStore, schemaOf, TestDatabase } from './postgres.js';

/** The stores of a test file, on a database of its own: those of one test share tables that are empty at its beginning. */
export class TestStores {
  private readonly stores: MortalStore[] = [];
  private opened: TestDatabase | undefined;
  private url = '';

  private constructor() {}

  /** To be called once, at the top of a file: opens the database before its tests, and closes what they have opened. */
  static use(): TestStores {
    const stores = new TestStores();
    beforeAll(async () => {
      stores.opened = await TestDatabase.open();
    });
    beforeEach(() => {
      stores.url = stores.database.newUrl();
    });
    afterEach(async () => {
      await Promise.allSettled(stores.stores.splice(0).map((store) => store.close()));
    });
    afterAll(() => stores.database.close());
    return stores;
  }

  get database(): TestDatabase {
    if (this.opened === undefined) throw new Error('the database is open only while tests run');
    return this.opened;
  }

  /** That of the running test's tables. */
  get schema(): string {
    return schemaOf(this.url);
  }

  async open(options?: PostgresStoreOptions): Promise<MortalStore> {
    const store = new MortalStore(this.database, this.url, options);
    this.stores.push(store);
    await store.open();
    return store;
  }
}
