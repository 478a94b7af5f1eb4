import { Inject, Injectable } from '@nestjs/common';
import type { Knex } from 'knex';
import { DispatchClient } from 'nestjs-dispatch';
import { Shipping } from './shipping.js';

@Injectable()
export class Orders {
  constructor(
    @Inject('KNEX') private readonly knex: Knex,
    private readonly dispatch: DispatchClient,
    private readonly shipping: Shipping,
  ) {}

  async place(item: string): Promise<string> {
    return this.knex.transaction(async (transaction) => {
      const [order] = await transaction('orders').insert({ item }).returning('id');
      return this.dispatch.with({ transaction }).dispatch(this.shipping.ship, order.id);
    });
  }
}
