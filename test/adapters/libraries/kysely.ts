import { CamelCasePlugin, Kysely, PostgresDialect, type ControlledTransaction, type Transaction } from 'kysely';
import pg from 'pg';
import { Orders, type Database } from '../examples/kysely.js';
import type { Connect, Library, Work } from '../library.js';

/** By `transaction()`, which has no savepoints. */
export const connectKysely: Connect = async (url) => {
  const db = databaseAt(url);
  return {
    ...libraryOf(db),
    inTransaction: (code) => db.transaction().execute((transaction) => code(workOf(transaction))),
  };
};

/** By `startTransaction()`, which is begun and ended by hand. */
export const connectControlledKysely: Connect = async (url) => {
  const db = databaseAt(url);
  return {
    ...libraryOf(db),
    async inTransaction(code) {
      const transaction = await db.startTransaction().execute();
      try {
        const result = await code(controlledWorkOf(transaction));
        await transaction.commit().execute();
        return result;
      } catch (error) {
        await transaction.rollback().execute();
        throw error;
      }
    },
  };
};

/** The plugin renames what it reads. */
function databaseAt(url: string): Kysely<Database> {
  const dialect = new PostgresDialect({ pool: new pg.Pool({ connectionString: url }) });
  return new Kysely<Database>({ dialect, plugins: [new CamelCasePlugin()] });
}

const libraryOf = (db: Kysely<Database>): Omit<Library, 'inTransaction'> => ({
  orders: (_, client, shipping) => new Orders(db, client, shipping),
  outside: db,
  close: () => db.destroy(),
});

function workOf(transaction: Transaction<Database>): Work {
  return {
    transaction,
    insert: async (item) =>
      (await transaction.insertInto('orders').values({ item }).returning('id').executeTakeFirstOrThrow()).id,
    nested: undefined,
  };
}

function controlledWorkOf(transaction: ControlledTransaction<Database>): Work {
  return {
    ...workOf(transaction),
    nested: async (code) => {
      const inner = await transaction.savepoint('nested').execute();
      try {
        return await code(controlledWorkOf(inner));
      } catch (error) {
        await inner.rollbackToSavepoint('nested').execute();
        throw error;
      }
    },
  };
}
