import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import {
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  step,
  type DispatchModuleOptions,
  type DispatchTransaction,
} from '../../lib/index.js';
import { migrate, PostgresStore } from '../../lib/scheduler/index.js';
import { until } from '../support/fleet.js';
import { schemaOf, TestDatabase } from '../support/postgres.js';

let database: TestDatabase;
/** The address of the store, and a table of the application beside it. */
let url: string;
let orders: string;
let pool: pg.Pool;
const apps: INestApplicationContext[] = [];

beforeAll(async () => {
  database = await TestDatabase.open();
});
beforeEach(async () => {
  url = database.newUrl();
  orders = `orders_${randomBytes(6).toString('hex')}`;
  pool = new pg.Pool({ connectionString: addressOf(url) });
  await pool.query(`CREATE TABLE ${orders} (id serial PRIMARY KEY, item text NOT NULL)`);
});
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await pool.query(`DROP TABLE ${orders}`);
  await pool.end();
});
afterAll(() => database.close());

@Injectable()
class Shop {
  readonly shipped: string[] = [];

  @DispatchFunction({ name: 'ship' })
  async ship(id: number): Promise<string> {
    const { rows } = await pool.query<{ item: string }>(`SELECT item FROM ${orders} WHERE id = $1`, [id]);
    const item = rows[0]?.item ?? 'nothing';
    this.shipped.push(item);
    return item;
  }

  @DispatchFunction({ name: 'remind' })
  async remind(_id: number): Promise<void> {
    this.shipped.push('reminded');
  }
}

/** What durable functions do with transactions. */
@Injectable()
class Office {
  constructor(
    private readonly client: DispatchClient,
    private readonly shop: Shop,
  ) {}

  @DispatchFunction({ name: 'order' })
  async order(item: string): Promise<string> {
    return step(({ key }) =>
      inTransaction(async (transaction) => {
        const id = await insertOrder(transaction, item);
        return this.client.with({ transaction, idempotencyKey: key }).dispatch(this.shop.ship, id);
      }),
    );
  }

  @DispatchFunction({ name: 'careless' })
  async careless(item: string): Promise<string> {
    return inTransaction(async (transaction) => {
      const id = await insertOrder(transaction, item);
      return this.client.with({ transaction }).dispatch(this.shop.ship, id);
    });
  }

  @DispatchFunction({ name: 'impatient' })
  async impatient(): Promise<string> {
    return inTransaction((transaction) => this.client.with({ transaction }).call(this.shop.ship, 1));
  }
}

@Module({ providers: [Shop, Office], exports: [Shop, Office] })
class Providers {}

/** An application on the store of the test, or on another one. */
async function start(scheduler: DispatchModuleOptions['scheduler'] = { store: url }): Promise<{
  app: INestApplicationContext;
  client: DispatchClient;
  shop: Shop;
}> {
  class Root {}
  Module({ imports: [DispatchModule.forRoot({ scheduler }), Providers] })(Root);
  const app = await NestFactory.createApplicationContext(Root, { logger: false });
  apps.push(app);
  return { app, client: app.get(DispatchClient), shop: app.get(Shop) };
}

async function inTransaction<T>(code: (client: pg.PoolClient) => Promise<T>, begin = 'BEGIN'): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query(begin);
    const result = await code(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    client.release();
  }
}

async function insertOrder(client: pg.ClientBase, item: string): Promise<number> {
  const { rows } = await client.query<{ id: number }>(`INSERT INTO ${orders} (item) VALUES ($1) RETURNING id`, [item]);
  return rows[0]?.id ?? 0;
}

const itemsOf = async (): Promise<string[]> =>
  (await pool.query<{ item: string }>(`SELECT item FROM ${orders} ORDER BY id`)).rows.map(({ item }) => item);

const addressOf = (store: string): string => {
  const address = new URL(store);
  address.searchParams.delete('schema');
  return address.href;
};

describe('a dispatch in a transaction', () => {
  it('runs once the transaction is committed, exactly once, and sees its rows', async () => {
    const { client, shop } = await start();
    const id = await inTransaction(async (transaction) => {
      const order = await insertOrder(transaction, 'a book');
      const call = await client.with({ transaction }).dispatch(shop.ship, order);
      expect(await client.get(call)).toBeUndefined();
      return call;
    });
    expect(await client.wait(id)).toBe('a book');
    expect(shop.shipped).toEqual(['a book']);
    expect((await client.list()).calls).toHaveLength(1);
  });

  it('is gone with a transaction that is rolled back', async () => {
    const { client, shop } = await start();
    const failure = new Error('the card was refused');
    const ids: string[] = [];
    const attempt = inTransaction(async (transaction) => {
      ids.push(await client.with({ transaction }).dispatch(shop.ship, await insertOrder(transaction, 'a book')));
      throw failure;
    });
    await expect(attempt).rejects.toBe(failure);
    expect(ids).toHaveLength(1);
    expect(await client.get(ids[0] ?? '')).toBeUndefined();
    expect((await client.list()).calls).toEqual([]);
    expect(await itemsOf()).toEqual([]);
  });

  it('is told to all processes by the COMMIT, and not by a ROLLBACK', async () => {
    const { client, shop } = await start({ store: url, run: false });
    const listener = new pg.Client({ connectionString: addressOf(url) });
    await listener.connect();
    await listener.query(`LISTEN ${schemaOf(url)}_free`);
    let told = 0;
    listener.on('notification', () => (told += 1));

    const dispatch = (transaction: pg.PoolClient) => client.with({ transaction }).dispatch(shop.remind, 1);
    await expect(
      inTransaction(async (transaction) => {
        await dispatch(transaction);
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    await listener.query('SELECT 1');
    expect(told).toBe(0);
    await inTransaction(async (transaction) => {
      await dispatch(transaction);
      await dispatch(transaction);
    });
    await until(() => told > 0);
    expect(told).toBe(1);
    await listener.end();
  });

  it('runs in another process where its own runs nothing', async () => {
    const front = await start({ store: url, run: false });
    const worker = await start();
    const id = await inTransaction(async (transaction) =>
      front.client.with({ transaction }).dispatch(front.shop.ship, await insertOrder(transaction, 'a lamp')),
    );
    expect(await front.client.wait(id)).toBe('a lamp');
    expect(worker.shop.shipped).toEqual(['a lamp']);
  });

  it('has all options that other dispatches have', async () => {
    const { client, shop } = await start();
    const at = Date.now() + 3_600_000;
    const id = await inTransaction((transaction) =>
      client.with({ transaction, at, priority: 7, key: 'Ada', expiration: '2h' }).dispatch(shop.ship, 1),
    );
    const call = await client.get(id);
    expect(call).toMatchObject({ state: 'pending', function: 'ship', priority: 7, key: 'Ada', dueAt: at });
    expect((call?.expiresAt ?? 0) - (call?.createdAt ?? 0)).toBe(2 * 3_600_000);
  });

  it('is made by of(), by batch() and of calls that others have built', async () => {
    const { client, shop } = await start();
    const built = client.of(shop).remind(3);
    const ids = await inTransaction(async (transaction) => {
      const joined = client.with({ transaction });
      const one = await joined.of(shop).remind(1).dispatch();
      const some = await joined.batch().add(shop.remind, 2).add(built).dispatch();
      return [one, ...some, await joined.dispatch(built)];
    });
    expect(new Set(ids).size).toBe(4);
    await Promise.all(ids.map((id) => client.wait(id)));
    expect(shop.shipped).toHaveLength(4);
  });

  it('goes with the savepoint that it was made behind', async () => {
    const { client, shop } = await start();
    const [kept, dropped] = await inTransaction(async (transaction) => {
      const joined = client.with({ transaction });
      const first = await joined.dispatch(shop.ship, await insertOrder(transaction, 'a book'));
      await transaction.query('SAVEPOINT extra');
      const second = await joined.dispatch(shop.ship, await insertOrder(transaction, 'a lamp'));
      await transaction.query('ROLLBACK TO SAVEPOINT extra');
      return [first, second];
    });
    expect(await client.wait(kept)).toBe('a book');
    expect(await client.get(dropped)).toBeUndefined();
    expect(await itemsOf()).toEqual(['a book']);
  });

  it.each(['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])('works at the isolation level %s', async (level) => {
    const { client, shop } = await start();
    const id = await inTransaction(async (transaction) => {
      const order = await insertOrder(transaction, 'a book');
      return client.with({ transaction, idempotencyKey: `order ${order}` }).dispatch(shop.ship, order);
    }, `BEGIN ISOLATION LEVEL ${level}`);
    expect(await client.wait(id)).toBe('a book');
  });

  it('does not care what the connection is set to, and how it reads values', async () => {
    const { client, shop } = await start();
    const bigint = 20;
    const getTypeParser = (type: number) => (value: string) => (type === bigint ? [value] : value);
    const transaction = new pg.Client({ connectionString: addressOf(url), types: { getTypeParser } });
    await transaction.connect();
    await transaction.query('BEGIN');
    await transaction.query(`SET search_path TO ''; SET DateStyle TO 'German'; SET TimeZone TO 'Asia/Tokyo'`);
    const id = await client.with({ transaction }).dispatch(shop.remind, 1);
    await transaction.query('COMMIT');
    await transaction.end();
    await client.wait(id);
    expect(shop.shipped).toEqual(['reminded']);
  });

  it('is made by any library that resolves with rows', async () => {
    const { client, shop } = await start({ store: url, run: false });
    await inTransaction(async (transaction) => {
      const query = async (text: string, values: string[]) => {
        const { rows } = await transaction.query<Record<string, unknown>>(text, values);
        return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [`a_${name}`, value])));
      };
      await client.with({ transaction: { query } }).dispatch(shop.remind, 1);
    });
    expect((await client.list()).calls).toHaveLength(1);
  });

  it('takes large inputs, and many calls', async () => {
    const { client, shop } = await start({ store: url, run: false });
    const ids = await inTransaction((transaction) => {
      const batch = client.with({ transaction, idempotencyKey: 'all' }).batch();
      for (let index = 0; index < 2_000; index++) batch.add(shop.remind, index);
      return batch.dispatch();
    });
    expect(new Set(ids).size).toBe(2_000);
    const big = { function: 'take', endpoint: 'https://example.com', input: 'x'.repeat(12_000_000) };
    await inTransaction((transaction) => client.with({ transaction }).batch().add(big).add(big).dispatch());
    const [{ count } = {}] = await database.query(`SELECT count(*)::int FROM ${schemaOf(url)}.calls`);
    expect(count).toBe(2_002);
  });
});

describe('an idempotency key in a transaction', () => {
  it('finds the call that has it, and leaves the transaction as it is', async () => {
    const { client, shop } = await start();
    const first = await client.with({ idempotencyKey: 'k' }).dispatch(shop.remind, 1);
    const ids = await inTransaction(async (transaction) => {
      const joined = client.with({ transaction, idempotencyKey: 'k' });
      const same = [await joined.dispatch(shop.remind, 1), await joined.dispatch(shop.remind, 1)];
      await insertOrder(transaction, 'a book');
      return same;
    });
    expect(ids).toEqual([first, first]);
    expect(await itemsOf()).toEqual(['a book']);
    expect((await client.list()).calls).toHaveLength(1);
  });

  it('is refused for another call, of which nothing is made, and leaves the transaction as it is', async () => {
    const { client, shop } = await start({ store: url, run: false });
    await client.with({ idempotencyKey: 'k:1' }).dispatch(shop.remind, 1);
    await inTransaction(async (transaction) => {
      const joined = client.with({ transaction, idempotencyKey: 'k' });
      await expect(joined.batch().add(shop.remind, 1).add(shop.remind, 2).dispatch()).rejects.toThrow(
        'The idempotency key "k:1" belongs to a call with another input',
      );
      await joined.dispatch(shop.remind, 3);
      await expect(joined.dispatch(shop.ship, 3)).rejects.toThrow('belongs to a call of remind');
      await insertOrder(transaction, 'a book');
    });
    expect(await itemsOf()).toEqual(['a book']);
    expect((await client.list()).calls).toHaveLength(2);
  });

  it.each([
    ['has its call when that one is committed', 'COMMIT'],
    ['is made when that one is rolled back', 'ROLLBACK'],
  ])('waits for the transaction that has it first, and %s', async (_, end) => {
    const { client, shop } = await start({ store: url, run: false });
    const first = await pool.connect();
    await first.query('BEGIN');
    const id = await client.with({ transaction: first, idempotencyKey: 'k' }).dispatch(shop.remind, 1);
    const [{ pid } = {}] = (await first.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows;

    const second = inTransaction((transaction) =>
      client.with({ transaction, idempotencyKey: 'k' }).dispatch(shop.remind, 1),
    );
    await until(async () => {
      const waiting = await database.query('SELECT pid FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))', [
        pid,
      ]);
      return waiting.length > 0;
    });
    await first.query(end);
    first.release();
    expect(await second).toBe(id);
    expect((await client.list()).calls).toHaveLength(1);
  });

  it.each([
    ['has its call when that one is committed', 'COMMIT'],
    ['is made when that one is rolled back', 'ROLLBACK'],
  ])('lets other calls of the process go on while a dispatch waits for it, which %s', async (_, end) => {
    const { client, shop } = await start({ store: url, run: false });
    const open = await pool.connect();
    await open.query('BEGIN');
    const id = await client.with({ transaction: open, idempotencyKey: 'k' }).dispatch(shop.remind, 1);
    let hasEnded = false;
    const waiting = client
      .with({ idempotencyKey: 'k' })
      .dispatch(shop.remind, 1)
      .finally(() => (hasEnded = true));
    for (let n = 0; n < 20; n++) await client.dispatch(shop.remind, n);
    await client.with({ idempotencyKey: 'another' }).dispatch(shop.remind, 1);
    expect(hasEnded).toBe(false);
    await open.query(end);
    open.release();
    expect(await waiting).toBe(id);
    expect((await client.list()).calls).toHaveLength(22);
  });
});

describe('an idempotency key that a transaction takes while a dispatch is about to make its call', () => {
  /** What happens between the look whether a key is free and the commit of its call. */
  class InterruptedStore extends PostgresStore {
    interrupt: (() => Promise<void>) | undefined;

    override async reserved(ids: readonly string[]): Promise<string[]> {
      const found = await super.reserved(ids);
      const { interrupt } = this;
      this.interrupt = undefined;
      await interrupt?.();
      return found;
    }
  }

  it.each([
    ['has its call when that one is committed', 'COMMIT'],
    ['is made when that one is rolled back', 'ROLLBACK'],
  ])('lets other calls of the process go on, and the dispatch %s', async (_, end) => {
    const store = new InterruptedStore(url);
    const { client, shop } = await start({ store, run: false });
    const open = await pool.connect();
    await open.query('BEGIN');
    const taken = new Promise<string>((resolve) => {
      store.interrupt = async () =>
        resolve(await client.with({ transaction: open, idempotencyKey: 'k' }).dispatch(shop.remind, 1));
    });
    let hasEnded = false;
    const waiting = client
      .with({ idempotencyKey: 'k' })
      .dispatch(shop.remind, 1)
      .finally(() => (hasEnded = true));
    const id = await taken;
    for (let n = 0; n < 20; n++) await client.dispatch(shop.remind, n);
    await client.with({ idempotencyKey: 'another' }).dispatch(shop.remind, 1);
    expect(hasEnded).toBe(false);
    await open.query(end);
    open.release();
    expect(await waiting).toBe(id);
    expect((await client.list()).calls).toHaveLength(22);
  });
});

describe('a transaction that cannot hold a call', () => {
  it.each([
    ['a client that has sent no BEGIN', () => pool.connect()],
    ['a pool', () => pool],
  ])('is refused when it is %s, and nothing is made', async (_, connect) => {
    const { client, shop } = await start();
    const given = await connect();
    const dispatch = () => client.with({ transaction: given }).dispatch(shop.remind, 1);
    await expect(dispatch()).rejects.toThrow('is in no transaction');
    await expect(dispatch()).rejects.toThrow('Send BEGIN on that very connection before');
    expect((await client.list()).calls).toEqual([]);
    if (given !== pool) (given as pg.PoolClient).release();
  });

  it('is refused after its COMMIT', async () => {
    const { client, shop } = await start();
    const connection = await pool.connect();
    await connection.query('BEGIN');
    await client.with({ transaction: connection }).dispatch(shop.remind, 1);
    await connection.query('COMMIT');
    await expect(client.with({ transaction: connection }).dispatch(shop.remind, 1)).rejects.toThrow(
      'is in no transaction',
    );
    connection.release();
    expect((await client.list()).calls).toHaveLength(1);
  });

  it('is refused when it is read only, and can go on', async () => {
    const { client, shop } = await start();
    await inTransaction(async (transaction) => {
      await expect(client.with({ transaction }).dispatch(shop.remind, 1)).rejects.toThrow(
        'the transaction is read only',
      );
      await transaction.query('SELECT 1');
    }, 'BEGIN READ ONLY');
  });

  it('passes on what the server says when it has failed before', async () => {
    const { client, shop } = await start();
    const attempt = inTransaction(async (transaction) => {
      await transaction.query('SELECT 1 / 0').catch(() => undefined);
      await client.with({ transaction }).dispatch(shop.remind, 1);
    });
    await expect(attempt).rejects.toMatchObject({ code: '25P02' });
  });

  it('is refused in another database, with tables of a store or without', async () => {
    const { client, shop } = await start();
    const address = await database.newDatabase();
    const elsewhere = new pg.Client({ connectionString: address });
    await elsewhere.connect();
    const dispatch = async () => {
      await elsewhere.query('BEGIN');
      try {
        return await client.with({ transaction: elsewhere }).dispatch(shop.remind, 1);
      } finally {
        await elsewhere.query('ROLLBACK');
      }
    };
    await expect(dispatch()).rejects.toThrow(`in a database without its schema ${schemaOf(url)}`);
    await migrate(address, { schema: schemaOf(url) });
    await expect(dispatch()).rejects.toThrow('in another database, which has tables of the same name');
    await expect(dispatch()).rejects.toThrow('Set scheduler.store, or DISPATCH_STORE');
    await elsewhere.end();
  });

  it('is refused when its user has no rights, and works with those that are named', async () => {
    const { client, shop } = await start();
    const [role, schema] = [`clerk_${randomBytes(6).toString('hex')}`, schemaOf(url)];
    await database.query(`CREATE ROLE ${role}`);
    await database.query(`GRANT ${role} TO current_user`);
    const dispatch = () =>
      inTransaction(async (transaction) => {
        await transaction.query(`SET LOCAL ROLE ${role}`);
        return client.with({ transaction }).dispatch(shop.remind, 1);
      });
    await expect(dispatch()).rejects.toThrow(`GRANT USAGE ON SCHEMA ${schema} TO …`);
    await database.query(`GRANT USAGE ON SCHEMA ${schema} TO ${role}`);
    await expect(dispatch()).rejects.toThrow(`GRANT SELECT, INSERT ON ${schema}.calls TO …`);
    await database.query(`GRANT SELECT, INSERT ON ${schema}.calls TO ${role}`);
    await expect(dispatch()).rejects.toThrow(`GRANT SELECT ON ${schema}.processes TO …`);
    await database.query(`GRANT SELECT ON ${schema}.processes TO ${role}`);
    await client.wait(await dispatch());
    expect(shop.shipped).toEqual(['reminded']);
    await database.query(`DROP OWNED BY ${role}`);
    await database.query(`DROP ROLE ${role}`);
  });

  it.each([
    ['memory', () => 'memory:'],
    ['SQLite', () => join(mkdtempSync(join(tmpdir(), 'transactions-')), 'dispatch.db')],
  ])('is refused beside a store in %s', async (_, store) => {
    const { client, shop } = await start({ store: store() });
    await inTransaction(async (transaction) => {
      const attempt = client.with({ transaction }).dispatch(shop.remind, 1);
      await expect(attempt).rejects.toThrow('set scheduler.store, or DISPATCH_STORE, to the address of that database');
    });
  });

  it('is refused with a scheduler elsewhere', async () => {
    class Root {}
    const dispatch = DispatchModule.forRoot({
      apiUrl: 'https://scheduler.internal',
      endpointUrl: 'https://orders.internal',
    });
    Module({ imports: [dispatch, Providers] })(Root);
    const app = await NestFactory.createApplicationContext(Root, { logger: false });
    apps.push(app);
    await inTransaction(async (transaction) => {
      const attempt = app.get(DispatchClient).with({ transaction }).dispatch(app.get(Shop).remind, 1);
      await expect(attempt).rejects.toThrow('not possible with the scheduler at https://scheduler.internal');
    });
  });

  it.each([
    ['a number', 5],
    ['null', null],
    ['an object that can do nothing', {}],
  ])('is refused when it is %s', async (_, transaction) => {
    const { client } = await start();
    expect(() => client.with({ transaction: transaction as unknown as DispatchTransaction })).toThrow(
      'which is no transaction that is known: give a pg client after BEGIN',
    );
  });

  it('is refused when it answers with no rows', async () => {
    const { client, shop } = await start();
    const transaction = { query: async () => 'done' };
    await expect(client.with({ transaction }).dispatch(shop.remind, 1)).rejects.toThrow(
      'it has to resolve with the rows',
    );
  });
});

describe('what is awaited', () => {
  it('cannot be part of a transaction', async () => {
    const { client, shop } = await start();
    await inTransaction(async (transaction) => {
      const joined = client.with({ transaction });
      const advice = 'dispatch() it in the transaction, and wait(id) for it afterwards';
      await expect(joined.call(shop.ship, 1)).rejects.toThrow(advice);
      await expect(joined.of(shop).ship(1).result()).rejects.toThrow(advice);
      await expect(client.gather([client.of(shop).ship(1), joined.of(shop).ship(2)])).rejects.toThrow(advice);
    });
    expect((await client.list()).calls).toEqual([]);
  });

  it('and calls of several transactions cannot be dispatched together', async () => {
    const { client, shop } = await start();
    await inTransaction(async (transaction) => {
      const batch = client.batch().add(client.with({ transaction }).of(shop).ship(1)).add(shop.ship, 2);
      await expect(batch.dispatch()).rejects.toThrow('have to be part of one transaction');
    });
    expect((await client.list()).calls).toEqual([]);
  });
});

describe('in a durable function', () => {
  it('a transaction is the business of a step', async () => {
    const { app, client, shop } = await start();
    const shipment = await client.of(app.get(Office)).order('a book').result();
    expect(await client.wait(shipment)).toBe('a book');
    expect(shop.shipped).toEqual(['a book']);
    expect(await itemsOf()).toEqual(['a book']);
  });

  it('a dispatch in a transaction is refused elsewhere', async () => {
    const { app, client } = await start();
    const advice = 'step(({ key }) => …with({ transaction, idempotencyKey: key })…)';
    await expect(client.call(app.get(Office).careless, 'a book')).rejects.toThrow(advice);
    await expect(client.call(app.get(Office).impatient)).rejects.toThrow('wait(id) for it afterwards');
    expect(await itemsOf()).toEqual([]);
  });
});
