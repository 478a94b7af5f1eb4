import { StoreError } from '../../store.js';

export const DEFAULT_SCHEMA = 'dispatch';

/** An identifier that needs no quotes, short enough for the names that are made of it. */
const SCHEMA = /^[a-z_][a-z0-9_]{0,39}$/;

/** Where a store's tables are. */
export interface PostgresTarget {
  /** For the driver: with the password, without our own parameters. */
  readonly connectionString: string;
  readonly schema: string;
  /** For people: without the password. */
  readonly name: string;
}

/**
 * Reads the address of a store: `postgres://user:password@host:5432/database?schema=dispatch`. All parameters but
 * `schema` are the driver's, such as `sslmode`.
 *
 * @throws StoreError when it cannot be an address; the message does not show it, because it may hold a password
 */
export function parseTarget(url: string, schemaOption?: string): PostgresTarget {
  if (!/^postgres(ql)?:\/\//i.test(url) || !URL.canParse(url)) {
    throw new StoreError(
      'The store is set to an address of PostgreSQL that cannot be read. Give it in the form ' +
        'postgres://user:password@host:5432/database, with special characters of the password percent-encoded.',
    );
  }
  const parsed = new URL(url);
  const schema = schemaOption ?? parsed.searchParams.get('schema') ?? DEFAULT_SCHEMA;
  if (!SCHEMA.test(schema)) {
    throw new StoreError(
      `The store's schema is set to ${JSON.stringify(schema)}: give a name of lower-case letters, digits and '_', ` +
        'of 40 characters at most, that does not begin with a digit.',
    );
  }
  parsed.searchParams.delete('schema');
  const host = parsed.host || (parsed.searchParams.get('host') ?? 'localhost');
  return { connectionString: parsed.href, schema, name: `postgres://${host}${parsed.pathname} (schema ${schema})` };
}
