import { Injectable } from '@nestjs/common';
import { DispatchFunction } from 'nestjs-dispatch';
import pg from 'pg';

@Injectable()
export class Shipping {
  constructor(private readonly pool: pg.Pool) {}

  @DispatchFunction()
  async ship(order: number): Promise<string> {
    const { rows } = await this.pool.query<{ item: string }>('SELECT item FROM orders WHERE id = $1', [order]);
    return `${rows[0]?.item} is on its way`; // the order is there: this began when it was committed
  }
}
