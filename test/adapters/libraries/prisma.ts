import { PrismaPg } from '@prisma/adapter-pg';
import { Orders } from '../examples/prisma.js';
import type { Connect } from '../library.js';
import { PrismaClient } from '../prisma/generated/client.js';

export const connectPrisma: Connect = async (url) => {
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) });
  return {
    orders: (_, client, shipping) => new Orders(prisma, client, shipping),
    outside: prisma,
    inTransaction: (code) =>
      prisma.$transaction((transaction) =>
        code({
          transaction,
          insert: async (item) => (await transaction.order.create({ data: { item } })).id,
          nested: undefined,
        }),
      ),
    close: () => prisma.$disconnect(),
  };
};
