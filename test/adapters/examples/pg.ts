import { Injectable } from '@nestjs/common';
import { DispatchClient } from 'nestjs-dispatch';
import pg from 'pg';
import { Shipping } from './shipping.js';

@Injectable()
export class Orders {
  constructor(
    private readonly pool: pg.Pool,
    private readonly dispatch: DispatchClient,
    private readonly shipping: Shipping,
  ) {}

  /** Stores an order, and has it shipped: both or none. Resolves with the id of the shipment. */
  async place(item: string): Promise<string> {
    const transaction = await this.pool.connect();
    try {
      await transaction.query('BEGIN');
      const inserted = await transaction.query('INSERT INTO orders (item) VALUES ($1) RETURNING id', [item]);
      const shipment = await this.dispatch.with({ transaction }).dispatch(this.shipping.ship, inserted.rows[0].id);
      await transaction.query('COMMIT');
      return shipment;
    } catch (error) {
      await transaction.query('ROLLBACK');
      throw error;
    } finally {
      transaction.release();
    }
  }
}
