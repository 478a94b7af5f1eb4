import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Gate } from '../jepsen/gate.js';
import { Member, until } from '../support/fleet.js';
import { schemaOf, TestDatabase } from '../support/postgres.js';
import { Deferred, exit, type Script } from '../unit/scheduler/world.js';

let database: TestDatabase;
let gate: Gate;
const members: Member[] = [];
beforeAll(async () => {
  database = await TestDatabase.openWithStandby();
  gate = await Gate.to(() => database.place);
});
afterEach(() => Promise.all(members.splice(0).map((member) => member.stop())));
afterAll(async () => {
  gate.close();
  await database.close();
});

/** Longer than what the test takes after the failover. */
const LEASE = 10_000;
const store = { lease: LEASE };

async function start(url: string, functions: Record<string, Script>, run = true): Promise<Member> {
  const member = await Member.start(url, functions, { scheduler: { run }, store });
  members.push(member);
  return member;
}

test('a process that starts right after a failover leaves their calls to those that have yet to find the new server', async () => {
  const schema = schemaOf(database.newUrl());
  const throughGate = new URL(database.urlOf(schema));
  throughGate.searchParams.set('host', '127.0.0.1');
  throughGate.searchParams.set('port', String(gate.port));
  const held = new Deferred<void>();
  const slow: Script = async () => {
    await held.promise;
    return exit('slow');
  };
  const first = await start(throughGate.href, { slow });
  const id = await first.dispatch('slow');
  await until(() => first.runs.length === 1);

  // The standby started a moment later.
  await until(async () => {
    const [row] = await database.query('SELECT extract(epoch FROM now() - pg_postmaster_start_time())::float8 AS up');
    return Number(row?.['up']) * 1_000 > LEASE + 3_000;
  });
  gate.shut();
  await database.failOver(0);
  // As after a failover that took longer than a lease.
  await database.query(`UPDATE ${schema}.processes SET lease_until = now() - interval '1 minute'`);
  const second = await start(database.urlOf(schema), { slow, quick: () => exit('quick') });
  const client = await start(database.urlOf(schema), {}, false);
  expect(await client.result(await client.dispatch('quick'))).toBe('quick');

  gate.open();
  held.resolve();
  expect(await second.result(id)).toBe('slow');
  expect(second.runs).toEqual(['quick']);
  expect(first.runs).toEqual(['slow']);
  expect(members.flatMap(({ log }) => log.lines).filter((line) => /out of touch|no sign/.test(line))).toEqual([]);
});
