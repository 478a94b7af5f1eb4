import type { TestDatabase } from './postgres.js';

/**
 * Has the database note each time that an end of a call is stored, in the transaction itself.
 *
 * @param store the schema of the store, whose tables are there
 * @param schema where the notes are: it may be another one
 * @returns their table: `id` of the call, its `owner` then, and when it was (`at`)
 */
export async function noteFinishes(database: TestDatabase, store: string, schema: string): Promise<string> {
  const table = `${schema}.finishes`;
  await database.query(
    `CREATE TABLE ${table} (id text NOT NULL, owner bigint, at timestamptz NOT NULL DEFAULT clock_timestamp())`,
  );
  await database.query(`
    CREATE FUNCTION ${schema}.note_finish() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO ${table} VALUES (NEW.id, NEW.owner); RETURN NULL; END $$`);
  await database.query(`
    CREATE TRIGGER finished AFTER INSERT OR UPDATE OF finished_at ON ${store}.calls
    FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL) EXECUTE FUNCTION ${schema}.note_finish()`);
  return table;
}
