import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { migrate } from '../../lib/scheduler/index.js';
import { Finishes } from '../support/finishes.js';
import { until } from '../support/fleet.js';
import { TestDatabase } from '../support/postgres.js';
import { TypeScriptProcess } from '../support/typescript-process.js';

const LEASE = 2_000;
const ROOTS = 10;
/** A root, and 2, 4, 8 and 16 calls below it. */
const CALLS_OF_A_ROOT = 31;

let database: TestDatabase;
const processes: TypeScriptProcess[] = [];
beforeAll(async () => {
  database = await TestDatabase.open();
});
afterEach(() => Promise.all(processes.splice(0).map((application) => application.kill())));
afterAll(() => database.close());

test('two applications that call each other on several levels survive a kill of either: each result exact, none recorded twice', async () => {
  const url = database.newUrl();
  await migrate(url);
  const finishes = await Finishes.record(database, url);
  const start = async (side: 'left' | 'right'): Promise<TypeScriptProcess> => {
    const application = new TypeScriptProcess(new URL('crossing.app.ts', import.meta.url), [side, url, String(LEASE)]);
    processes.push(application);
    await application.until('ready');
    return application;
  };
  const untilEnded = (calls: number) => until(async () => (await finishes.all()).length >= calls);

  const left = await start('left');
  const ids = new Map<string, number>();
  for (let n = 0; n < ROOTS; n++) {
    left.write(`dispatch ${n}`);
    const [, , id = ''] = (await left.until('ack')).split(' ');
    ids.set(id, n);
  }
  const right = await start('right');
  await untilEnded(ROOTS * 3);
  await left.kill();
  await start('left');
  await untilEnded(ROOTS * 12);
  await right.kill();
  const last = await start('right');

  for (const id of ids.keys()) last.write(`wait ${id}`);
  const results = new Map<string, string>();
  while (results.size < ROOTS) {
    const [, id = '', value = ''] = (await last.until('result')).split(' ');
    results.set(id, value);
  }
  expect(results).toEqual(new Map([...ids].map(([id, n]) => [id, `${n}:16`])));
  await finishes.expectEachOnce(ROOTS * CALLS_OF_A_ROOT);
});
