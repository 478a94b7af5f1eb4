import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import pg from 'pg';
import { orders, Orders } from '../examples/drizzle.js';
import type { Connect, Work } from '../library.js';

type Transaction = Parameters<Parameters<NodePgDatabase['transaction']>[0]>[0];

export const connectDrizzle: Connect = async (url) => {
  const pool = new pg.Pool({ connectionString: url });
  const db = drizzle({ client: pool });
  return {
    orders: (_, client, shipping) => new Orders(db, client, shipping),
    outside: db,
    inTransaction: (code) => db.transaction((transaction) => code(workOf(transaction))),
    close: () => pool.end(),
  };
};

function workOf(transaction: Transaction): Work {
  return {
    transaction,
    insert: async (item) => (await transaction.insert(orders).values({ item }).returning())[0]!.id,
    nested: (code) => transaction.transaction((inner) => code(workOf(inner))),
  };
}
