import pg from 'pg';
import { Orders } from '../examples/pg.js';
import type { Connect, Work } from '../library.js';

export const connectPg: Connect = async (url) => {
  const pool = new pg.Pool({ connectionString: url });
  return {
    orders: (ownPool, client, shipping) => new Orders(ownPool, client, shipping),
    outside: pool,
    async inTransaction(code) {
      const transaction = await pool.connect();
      try {
        await transaction.query('BEGIN');
        const result = await code(workOf(transaction));
        await transaction.query('COMMIT');
        return result;
      } catch (error) {
        await transaction.query('ROLLBACK');
        throw error;
      } finally {
        transaction.release();
      }
    },
    close: () => pool.end(),
  };
};

function workOf(transaction: pg.PoolClient): Work {
  return {
    transaction,
    insert: async (item) => {
      const { rows } = await transaction.query<{ id: number }>('INSERT INTO orders (item) VALUES ($1) RETURNING id', [
        item,
      ]);
      return rows[0]!.id;
    },
    nested: async (code) => {
      await transaction.query('SAVEPOINT nested');
      try {
        return await code(workOf(transaction));
      } catch (error) {
        await transaction.query('ROLLBACK TO SAVEPOINT nested');
        throw error;
      }
    },
  };
}
