import knex, { type Knex } from 'knex';
import { Orders } from '../examples/knex.js';
import type { Connect, Work } from '../library.js';

export const connectKnex: Connect = async (url) => {
  const db = knex({ client: 'pg', connection: url });
  return {
    orders: (_, client, shipping) => new Orders(db, client, shipping),
    outside: db,
    inTransaction: (code) => db.transaction((transaction) => code(workOf(transaction))),
    close: () => db.destroy(),
  };
};

function workOf(transaction: Knex.Transaction): Work {
  return {
    transaction,
    insert: async (item) => (await transaction('orders').insert({ item }).returning('id'))[0].id,
    nested: (code) => transaction.transaction((inner) => code(workOf(inner))),
  };
}
