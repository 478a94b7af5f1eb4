import { Injectable } from '@nestjs/common';
import { DispatchClient } from 'nestjs-dispatch';
import { PrismaClient } from '../prisma/generated/client.js';
import { Shipping } from './shipping.js';

@Injectable()
export class Orders {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly dispatch: DispatchClient,
    private readonly shipping: Shipping,
  ) {}

  async place(item: string): Promise<string> {
    return this.prisma.$transaction(async (transaction) => {
      const order = await transaction.order.create({ data: { item } });
      return this.dispatch.with({ transaction }).dispatch(this.shipping.ship, order.id);
    });
  }
}
