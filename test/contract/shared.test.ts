import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type PostgresStore } from '../../lib/scheduler/index.js';
import { MortalStore, TestDatabase } from '../support/postgres.js';

let database: TestDatabase;
let url: string;
const stores: PostgresStore[] = [];
beforeAll(async () => {
  database = await TestDatabase.open();
});
beforeEach(() => {
  url = database.newUrl();
});
afterEach(async () => {
  await Promise.allSettled(stores.splice(0).map((store) => store.close()));
});
afterAll(() => database.close());

async function open(): Promise<MortalStore> {
  const store = new MortalStore(database, url);
  stores.push(store);
  await store.open();
  return store;
}

const registered = (name: string, version = '') => ({ endpoint: 'local', function: name, version });
const withoutLimits = { runs: undefined, perKey: undefined };

describe('processes that share a store', () => {
  it('know what the others have registered that are alive', async () => {
    const [first, second, third] = [await open(), await open(), await open()];
    await first.register([{ ...registered('a', '1'), runs: 3, perKey: undefined }]);
    await second.register([{ ...registered('a', '1'), ...withoutLimits }]);
    await third.register([{ ...registered('b'), ...withoutLimits }]);
    expect(await first.registeredElsewhere()).toEqual(expect.arrayContaining([registered('a', '1'), registered('b')]));
    expect(await second.registeredElsewhere()).toHaveLength(2);

    await third.register([{ ...registered('c'), ...withoutLimits }]);
    await second.close();
    expect(await first.registeredElsewhere()).toEqual([registered('c')]);
    await first.die();
    const last = await open();
    expect(await last.registeredElsewhere()).toEqual([]);
  });
});
