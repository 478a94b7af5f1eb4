import type pg from 'pg';

export interface Written {
  readonly rows: number;
  readonly hot: number;
  readonly walBytes: number;
  readonly transactions: number;
}

/** What was written so far to the tables of a schema, and in all. */
export async function written(client: pg.Client, schema: string): Promise<Written> {
  // Sessions hand in their counts when they end or are idle, a little later than their clients.
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  const { rows } = await client.query<Record<'rows' | 'hot' | 'wal' | 'transactions', string>>(
    `SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) AS rows, sum(n_tup_hot_upd) AS hot, pg_current_wal_lsn() - '0/0' AS wal,
       (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS transactions
     FROM pg_stat_user_tables WHERE schemaname = $1`,
    [schema],
  );
  const [row] = rows;
  return {
    rows: Number(row?.rows),
    hot: Number(row?.hot),
    walBytes: Number(row?.wal),
    transactions: Number(row?.transactions),
  };
}

export interface Size {
  readonly calls: number;
  readonly dead: number;
  readonly tableBytes: number;
  readonly indexBytes: number;
}

/** The table of calls as it is on the disk. */
export async function sizeOfCalls(client: pg.Client, schema: string): Promise<Size> {
  const { rows } = await client.query<Record<'calls' | 'dead' | 'bytes' | 'indexes', string>>(
    `SELECT (SELECT count(*) FROM ${schema}.calls) AS calls, n_dead_tup AS dead, pg_table_size(relid) AS bytes,
       pg_indexes_size(relid) AS indexes
     FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = 'calls'`,
    [schema],
  );
  const [row] = rows;
  return {
    calls: Number(row?.calls),
    dead: Number(row?.dead),
    tableBytes: Number(row?.bytes),
    indexBytes: Number(row?.indexes),
  };
}
