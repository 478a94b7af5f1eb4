import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import pg from 'pg';
import { TemporaryError } from 'nestjs-dispatch';

/** The address of the database. */
export const DATABASE = Symbol('DATABASE');

/** A table of the application's own, beside the calls. */
@Injectable()
export class Ledger implements OnModuleDestroy {
  private readonly pool: pg.Pool;

  constructor(@Inject(DATABASE) database: string) {
    this.pool = new pg.Pool({ connectionString: database, max: 4 });
    this.pool.on('error', () => undefined); // a connection that breaks while nobody uses it is replaced
  }

  /** An empty table, whatever was there. */
  async open(): Promise<void> {
    await this.pool.query('DROP TABLE IF EXISTS fleet_ledger');
    await this.pool.query('CREATE TABLE fleet_ledger (entry text PRIMARY KEY, cents integer NOT NULL)');
  }

  /** The same entry again changes nothing. */
  async enter(entry: string, cents: number): Promise<void> {
    try {
      await this.pool.query('INSERT INTO fleet_ledger VALUES ($1, $2) ON CONFLICT DO NOTHING', [entry, cents]);
    } catch (error) {
      throw new TemporaryError('the ledger cannot be written', { cause: error }); // is tried again
    }
  }

  async sum(): Promise<{ entries: number; cents: number }> {
    const { rows } = await this.pool.query<{ entries: string; cents: string }>(
      'SELECT count(*) AS entries, coalesce(sum(cents), 0) AS cents FROM fleet_ledger',
    );
    return { entries: Number(rows[0]?.entries), cents: Number(rows[0]?.cents) };
  }

  async onModuleDestroy(): Promise<void> {
    await this.pool.end();
  }
}
