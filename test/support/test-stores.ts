import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import type { PostgresStoreOptions } from '../../lib/scheduler/index.js';
import { MortalStore, TestDatabase } from './postgres.js';

/** The stores of a test file, on a database of its own: those of one test share tables that are empty at its beginning. */
export class TestStores {
  private readonly opened: MortalStore[] = [];
  private database: TestDatabase | undefined;
  private url = '';

  private constructor() {}

  /** To be called once, at the top of a file: opens the database before its tests, and closes what they have opened. */
  static use(): TestStores {
    const stores = new TestStores();
    beforeAll(async () => {
      stores.database = await TestDatabase.open();
    });
    beforeEach(() => {
      stores.url = stores.database?.newUrl() ?? '';
    });
    afterEach(async () => {
      await Promise.allSettled(stores.opened.splice(0).map((store) => store.close()));
    });
    afterAll(() => stores.database?.close());
    return stores;
  }

  async open(options?: PostgresStoreOptions): Promise<MortalStore> {
    if (this.database === undefined) throw new Error('stores are opened only while tests run');
    const store = new MortalStore(this.database, this.url, options);
    this.opened.push(store);
    await store.open();
    return store;
  }
}
