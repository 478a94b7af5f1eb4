import { expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { until } from '../support/fleet.js';
import { withoutSchema } from '../support/postgres.js';
import { TestFleet } from '../support/test-fleet.js';
import { exit } from '../unit/scheduler/world.js';

const fleet = TestFleet.use();
const PURGE_INTERVAL = 10;

test('a process that begins again removes old calls as before, also where their turn came meanwhile', async () => {
  const scheduler = { retention: 1, purgeInterval: PURGE_INTERVAL };
  const member = await fleet.start({ echo: () => exit('done') }, { scheduler });
  const { database, schema } = fleet;
  const untilRemoved = (id: string) =>
    until(async () => (await database.query(`SELECT FROM ${schema}.calls WHERE id = $1`, [id])).length === 0);
  await untilRemoved(await member.dispatch('echo'));

  // It can look at no version, and so begin again, before that is let go.
  const holder = new pg.Client(withoutSchema(fleet.url));
  await holder.connect();
  try {
    await holder.query('BEGIN');
    await holder.query(`LOCK TABLE ${schema}.store_version IN ACCESS EXCLUSIVE MODE`);
    await database.expire(fleet.url);
    await until(() => member.log.lines.some((line) => line.includes('out of touch')));
    await delay(5 * PURGE_INTERVAL);
    await holder.query('COMMIT');
  } finally {
    await holder.end();
  }
  await untilRemoved(await until(() => member.dispatch('echo').catch(() => undefined)));
  expect(member.log.lines.filter((line) => line.includes('could not be removed'))).toEqual([]);
});
