import type { DispatchClient, DispatchTransaction } from 'nestjs-dispatch';
import type pg from 'pg';
import type { Shipping } from './examples/shipping.js';

/** The `Orders` of an example. */
export interface Orders {
  place(item: string): Promise<string>;
}

/** What code does in a transaction of a library. */
export interface Work {
  readonly transaction: DispatchTransaction;
  insert(item: string): Promise<number>;
  /** Runs code behind a savepoint, which a failure of it goes back to; undefined: the library has none. */
  readonly nested: (<T>(code: (work: Work) => Promise<T>) => Promise<T>) | undefined;
}

/** A library that is connected to a database with a table `orders`. */
export interface Library {
  /** The example of the documentation. */
  orders(pool: pg.Pool, client: DispatchClient, shipping: Shipping): Orders;
  inTransaction<T>(code: (work: Work) => Promise<T>): Promise<T>;
  /** What transactions are begun with: in none itself. */
  readonly outside: DispatchTransaction;
  close(): Promise<void>;
}

export type Connect = (url: string) => Promise<Library>;
