import { Injectable } from '@nestjs/common';
import { NodePgDatabase } from 'drizzle-orm/node-postgres';
import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import { DispatchClient } from 'nestjs-dispatch';
import { Shipping } from './shipping.js';

export const orders = pgTable('orders', {
  id: integer().generatedAlwaysAsIdentity().primaryKey(),
  item: text().notNull(),
});

@Injectable()
export class Orders {
  constructor(
    private readonly db: NodePgDatabase,
    private readonly dispatch: DispatchClient,
    private readonly shipping: Shipping,
  ) {}

  async place(item: string): Promise<string> {
    return this.db.transaction(async (transaction) => {
      const [order] = await transaction.insert(orders).values({ item }).returning();
      return this.dispatch.with({ transaction }).dispatch(this.shipping.ship, order!.id);
    });
  }
}
