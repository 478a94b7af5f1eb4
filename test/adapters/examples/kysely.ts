import { Injectable } from '@nestjs/common';
import { Kysely, type Generated } from 'kysely';
import { DispatchClient } from 'nestjs-dispatch';
import { Shipping } from './shipping.js';

export interface Database {
  orders: { id: Generated<number>; item: string };
}

@Injectable()
export class Orders {
  constructor(
    private readonly db: Kysely<Database>,
    private readonly dispatch: DispatchClient,
    private readonly shipping: Shipping,
  ) {}

  async place(item: string): Promise<string> {
    return this.db.transaction().execute(async (transaction) => {
      const order = await transaction.insertInto('orders').values({ item }).returning('id').executeTakeFirstOrThrow();
      return this.dispatch.with({ transaction }).dispatch(this.shipping.ship, order.id);
    });
  }
}
