import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  migrate,
  PostgresStore,
  StoreError,
  StoreOwnershipLostError,
  type PostgresStoreOptions,
} from '../../lib/scheduler/index.js';
import { appended, finished, idOf, progressed, rootCall } from '../contract/calls.js';
import { schemaOf, TestDatabase } from '../support/postgres.js';
import { Wire } from '../support/wire.js';

let database: TestDatabase;
let url: string;
let wire: Wire;
const stores: PostgresStore[] = [];
beforeAll(async () => {
  database = await TestDatabase.open();
});
beforeEach(async () => {
  url = database.newUrl();
  wire = await Wire.to(url);
});
afterEach(async () => {
  await Promise.allSettled(stores.splice(0).map((store) => store.close()));
  wire.close();
});
afterAll(() => database.close());

async function open(address = url, options: PostgresStoreOptions = {}): Promise<PostgresStore> {
  const store = new PostgresStore(address, options);
  stores.push(store);
  await store.open();
  return store;
}
const endConnections = (): Promise<Record<string, unknown>[]> =>
  database.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'nestjs-dispatch%' AND pid <> pg_backend_pid()`,
  );

describe('a commit of the PostgreSQL store', () => {
  it('is known to be done when the connection breaks before the answer comes', async () => {
    const store = await open(wire.url);
    wire.cutting = 'answer';
    await store.commit([rootCall(idOf(1))]);
    expect(wire.cuts).toBe(1);
    await store.commit([progressed(idOf(1), { attempt: 1 })]);
    expect((await store.get(idOf(1)))?.progress.attempt).toBe(1);
  });

  it('is known to be lost when the connection breaks before the server hears of it', async () => {
    const store = await open(wire.url);
    await store.commit([rootCall(idOf(1))]);
    wire.cutting = 'commit';
    await expect(store.commit([rootCall(idOf(2))])).rejects.toBeInstanceOf(StoreError);
    expect(wire.cuts).toBe(1);
    expect(await store.get(idOf(2))).toBeUndefined();
    await store.commit([rootCall(idOf(2))]);
    expect(await store.get(idOf(2))).toBeDefined();
  });

  it('is tried on a new connection when the old one was ended meanwhile', async () => {
    const store = await open();
    await store.commit([rootCall(idOf(1)), appended(idOf(1), 'a')]);
    await endConnections();
    expect(Buffer.from(await store.journal(idOf(1))).toString()).toBe('a');
    await store.commit([appended(idOf(1), 'b', 'a')]);
    expect(Buffer.from(await store.journal(idOf(1))).toString()).toBe('ab');
  });

  it('writes nothing once the process counts as dead', async () => {
    const [first, second] = [await open(), await open()];
    await first.commit([rootCall(idOf(1))]);
    await database.expire(url);
    await expect(first.commit([finished(idOf(1))])).rejects.toBeInstanceOf(StoreOwnershipLostError);
    await expect(first.commit([rootCall(idOf(2))])).rejects.toThrow('out of touch');
    await expect(second.commit([rootCall(idOf(2))])).rejects.toBeInstanceOf(StoreOwnershipLostError);
    expect((await first.get(idOf(1)))?.finished).toBeUndefined();
    expect(await first.get(idOf(2))).toBeUndefined();
    await first.rejoin();
    await first.recover();
    await first.commit([finished(idOf(1))]);
    expect((await first.get(idOf(1)))?.finished).toBeDefined();
  });

  it('writes nothing about calls of another process', async () => {
    const [first, second] = [await open(), await open()];
    await first.commit([rootCall(idOf(1))]);
    await expect(second.commit([rootCall(idOf(2)), progressed(idOf(1))])).rejects.toThrow('another process');
    expect(await second.get(idOf(2))).toBeUndefined();
    await first.commit([finished(idOf(1))]);
  });
});

describe('the leases of the PostgreSQL store', () => {
  it('are renewed while the process does nothing', async () => {
    const [first, second] = [await open(url, { lease: 400 }), await open(url, { lease: 400 })];
    await first.commit([rootCall(idOf(1))]);
    const isLater = async (): Promise<boolean> => {
      const [row] = await database.query(
        `SELECT min(lease_until) > max(started_at) + interval '1.2 s' AS later FROM ${schemaOf(url)}.processes`,
      );
      return row?.['later'] === true;
    };
    while (!(await isLater()));
    expect((await second.recover()).calls).toEqual([]);
    await first.commit([finished(idOf(1))]);
  });

  it('end with the process, when it is closed', async () => {
    const [first, second] = [await open(), await open()];
    await first.commit([rootCall(idOf(1))]);
    await first.close();
    expect((await second.recover()).calls.map((call) => call.header.id)).toEqual([idOf(1)]);
  });
});

describe('the tables of the PostgreSQL store', () => {
  it('are made once, by however many processes start together', async () => {
    const opened = await Promise.all(Array.from({ length: 5 }, () => open()));
    await Promise.all(opened.map((store, n) => store.commit([rootCall(idOf(n))])));
    expect((await opened[0]?.list({}, { limit: 10 }))?.rows).toHaveLength(5);
  });

  it('are not made where that is not wished, but by the function for it', async () => {
    await expect(open(url, { migrate: 'check' })).rejects.toThrow('migrate(url)');
    await migrate(url);
    await migrate(url);
    const store = await open(url, { migrate: 'check' });
    await store.commit([rootCall(idOf(1))]);
  });

  it('of a newer version are left alone', async () => {
    await migrate(url);
    await database.query(`UPDATE ${schemaOf(url)}.store_version SET version = 99`);
    await expect(open()).rejects.toThrow('Upgrade the package');
  });

  it('of another application are left alone', async () => {
    await database.query(`CREATE SCHEMA ${schemaOf(url)}`);
    await database.query(`CREATE TABLE ${schemaOf(url)}.calls (id int)`);
    await expect(open()).rejects.toThrow('another application');
    await expect(migrate(url)).rejects.toThrow('another schema');
  });

  it('go into the schema of the option before that of the address', async () => {
    const schema = schemaOf(database.newUrl());
    const store = await open(url, { schema });
    expect(store.name).toContain(schema);
    expect(await database.query(`SELECT count(*)::int AS calls FROM ${schema}.calls`)).toEqual([{ calls: 0 }]);
  });
});

describe('an address of PostgreSQL', () => {
  it.each([
    ['with a schema that is no name', 'postgres://localhost/db?schema=a"b'],
    ['with a schema that begins with a digit', 'postgres://localhost/db?schema=1'],
    ['with a schema that is too long', `postgres://localhost/db?schema=${'a'.repeat(41)}`],
    ['that cannot be read', 'postgres://user:p@ss:word@:host/db'],
  ])('%s is refused', (_, address) => {
    expect(() => new PostgresStore(address)).toThrow(StoreError);
  });

  it('is shown without its password', async () => {
    const store = new PostgresStore('postgres://user:secret@127.0.0.1:1/db');
    expect(store.name).toBe('postgres://127.0.0.1:1/db (schema dispatch)');
    const error: unknown = await store.open().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(StoreError);
    expect(String(error)).toContain('cannot be reached');
    expect(String(error)).not.toContain('secret');
  });
});
