import { Injectable } from '@nestjs/common';
import { DispatchClient } from 'nestjs-dispatch';
import { Column, DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm';
import { Shipping } from './shipping.js';

@Entity('orders')
export class Order {
  @PrimaryGeneratedColumn('identity')
  id!: number;

  @Column('text')
  item!: string;
}

@Injectable()
export class Orders {
  constructor(
    private readonly dataSource: DataSource,
    private readonly dispatch: DispatchClient,
    private readonly shipping: Shipping,
  ) {}

  async place(item: string): Promise<string> {
    return this.dataSource.transaction(async (manager) => {
      const order = await manager.save(Order, { item });
      return this.dispatch.with({ transaction: manager }).dispatch(this.shipping.ship, order.id);
    });
  }
}
