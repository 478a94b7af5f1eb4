import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { migrate } from '../../lib/scheduler/index.js';
import { Finishes } from '../support/finishes.js';
import { Member, until } from '../support/fleet.js';
import { schemaOf, TestDatabase } from '../support/postgres.js';
import { TypeScriptProcess } from '../support/typescript-process.js';

const LEASE = 2_000;
const TREES = 12;
/** Those that live, or did so today, and how far the tables are. */
const KEPT = ['processes', 'store_version'];

let database: TestDatabase;
const processes: TypeScriptProcess[] = [];
beforeAll(async () => {
  database = await TestDatabase.open();
});
afterEach(() => Promise.all(processes.splice(0).map((application) => application.kill())));
afterAll(() => database.close());

/** How many rows there are in which tables of a store, whatever tables it has. */
async function rowsIn(schema: string): Promise<Record<string, number>> {
  const tables = await database.query(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = $1 AND table_type = 'BASE TABLE'",
    [schema],
  );
  const rows: Record<string, number> = {};
  for (const name of tables.map((table) => String(table['name']))) {
    const [row] = await database.query(`SELECT count(*)::int AS count FROM ${schema}.${name}`);
    if (Number(row?.['count']) > 0) rows[name] = Number(row?.['count']);
  }
  return rows;
}

test('a fleet leaves nothing of calls that are not kept any more, whatever became of them and of their processes', async () => {
  const url = database.newUrl();
  const schema = schemaOf(url);
  await migrate(url);
  const finishes = await Finishes.record(database, url);
  const start = async (role: 'main' | 'other'): Promise<TypeScriptProcess> => {
    const application = new TypeScriptProcess(new URL('leftovers.app.ts', import.meta.url), [url, String(LEASE), role]);
    processes.push(application);
    await application.until('ready');
    return application;
  };
  const dispatch = async (by: TypeScriptProcess, call: string): Promise<string> => {
    by.write(`dispatch ${call}`);
    return (await by.until('ack')).slice('ack '.length);
  };

  const [killed, main, other] = await Promise.all([start('main'), start('main'), start('other')]);
  const ids = new Set<string>();
  for (let n = 0; n < TREES; n++) {
    ids.add(await dispatch(killed, `tree - ${n}`));
    expect(ids).toContain(await dispatch(main, `tree - ${n}`));
    ids.add(await dispatch(n % 2 === 0 ? killed : other, `keyed key${n % 3} ${n}`));
  }
  const hanging = await Promise.all([killed, main, other].map((by, n) => dispatch(by, `hangs - ${n}`)));
  for (const id of ids) other.write(`wait ${id}`);
  await until(async () => (await finishes.all()).length > TREES * 3);
  const hung = new Set(hanging);
  for (const id of hung) killed.write(`wait ${id}`);
  const waits = `SELECT FROM ${schema}.waiting WHERE process = (SELECT id FROM ${schema}.processes WHERE name LIKE $1)`;
  await until(async () => (await database.query(waits, [`% pid ${killed.pid}`])).length > 0);
  await killed.kill();

  for (const id of hung) {
    main.write(`cancel ${id}`);
    other.write(`wait ${id}`);
  }
  const states: Record<string, string> = {};
  while (Object.keys(states).length < ids.size + hung.size) {
    const [, id = '', state = ''] = (await other.until('ended')).split(' ');
    states[id] = state;
  }
  expect(states).toEqual(
    Object.fromEntries([...[...ids].map((id) => [id, 'succeeded']), ...[...hung].map((id) => [id, 'cancelled'])]),
  );
  await Promise.all([main, other].map((application) => application.terminate()));
  expect(await rowsIn(schema)).toMatchObject({ calls: (await finishes.all()).length });

  // The table of this test, which is no part of the store.
  await database.query(`DROP TABLE ${schema}.finishes CASCADE`);
  const last = await Member.start(url, {}, { scheduler: { retention: 1, purgeInterval: 20 } });
  try {
    await until(async () => (await rowsIn(schema))['calls'] === undefined);
    await last.stop();
    const left = Object.keys(await rowsIn(schema)).filter((name) => !KEPT.includes(name));
    expect(left).toEqual([]);
  } finally {
    await last.stop();
  }
});
