import type { Client, ClientConfig } from 'pg';
import { StoreError } from '../../store.js';

/** What the store needs of the package `pg`. */
export interface PostgresDriver {
  readonly Client: new (config: ClientConfig) => Client;
}

/**
 * Loads the package `pg`, which an application installs when it keeps its calls in PostgreSQL.
 * @throws StoreError that says what to install when it is not there
 */
export async function loadDriver(): Promise<PostgresDriver> {
  try {
    const { default: pg } = await import('pg');
    return pg;
  } catch (error) {
    throw new StoreError(
      `The store is PostgreSQL, and the package pg, which connects to it, could not be loaded. Install it: npm install pg`,
      { cause: error },
    );
  }
}
