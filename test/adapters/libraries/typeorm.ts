import { DataSource, type EntityManager, type QueryRunner } from 'typeorm';
import { Order, Orders } from '../examples/typeorm.js';
import type { Connect, Library, Work } from '../library.js';

/** By the EntityManager that `transaction()` hands to its code. */
export const connectTypeOrm: Connect = async (url) => {
  const dataSource = await new DataSource({ type: 'postgres', url, entities: [Order] }).initialize();
  return {
    ...libraryOf(dataSource),
    inTransaction: (code) => dataSource.transaction((manager) => code(workOf(manager))),
  };
};

/** By a QueryRunner, whose transactions are begun and ended by hand. */
export const connectQueryRunner: Connect = async (url) => {
  const dataSource = await new DataSource({ type: 'postgres', url, entities: [Order] }).initialize();
  return {
    ...libraryOf(dataSource),
    async inTransaction(code) {
      const runner = dataSource.createQueryRunner();
      try {
        return await within(runner, code);
      } finally {
        await runner.release();
      }
    },
  };
};

const libraryOf = (dataSource: DataSource): Omit<Library, 'inTransaction'> => ({
  orders: (_, client, shipping) => new Orders(dataSource, client, shipping),
  outside: dataSource,
  close: () => dataSource.destroy(),
});

function workOf(manager: EntityManager): Work {
  return {
    transaction: manager,
    insert: async (item) => (await manager.save(Order, { item })).id,
    nested: (code) => manager.transaction((inner) => code(workOf(inner))),
  };
}

async function within<T>(runner: QueryRunner, code: (work: Work) => Promise<T>): Promise<T> {
  await runner.startTransaction();
  try {
    const result = await code({
      transaction: runner,
      insert: async (item) => (await runner.manager.save(Order, { item })).id,
      nested: (inner) => within(runner, inner),
    });
    await runner.commitTransaction();
    return result;
  } catch (error) {
    await runner.rollbackTransaction();
    throw error;
  }
}
