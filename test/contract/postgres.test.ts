import { afterAll, beforeAll } from '@jest/globals';
import { MortalStore, TestDatabase } from '../support/postgres.js';
import { describeStore } from './store.contract.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await TestDatabase.open();
});
afterAll(() => database.close());

describeStore('the PostgreSQL store', () => {
  const url = database.newUrl();
  const stores: MortalStore[] = [];
  const open = () => {
    const store = new MortalStore(database, url);
    stores.push(store);
    return store;
  };
  return Promise.resolve({
    store: open(),
    crash: async () => stores.at(-1)?.die(),
    again: open,
    dispose: async () => {
      await Promise.allSettled(stores.map((store) => store.close()));
    },
  });
});
