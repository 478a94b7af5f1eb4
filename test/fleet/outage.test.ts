import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { LEASE, Member, until } from '../support/fleet.js';
import { TestDatabase } from '../support/postgres.js';
import { callOf, exit, inputOf, joins, text } from '../unit/scheduler/world.js';

let database: TestDatabase;
const members: Member[] = [];
beforeAll(async () => {
  database = await TestDatabase.open();
});
afterEach(() => Promise.all(members.splice(0).map((member) => member.stop())));
afterAll(() => database.close());

const DISPATCHES = 40;

async function dispatches(member: Member, id: string): Promise<boolean> {
  try {
    await member.dispatch('parent', { id });
    return true;
  } catch {
    return false;
  }
}

test('a server that crashes, and is gone for longer than a lease, costs no call and no process its work', async () => {
  const url = database.newUrl();
  const functions = {
    parent: joins(() => [1, 2].map((id) => callOf({ id, function: 'echo', input: text(String(id)) }))),
    echo: async (request: Parameters<typeof inputOf>[0]) => {
      await delay(20);
      return exit(inputOf(request));
    },
  };
  const [first, second] = [await Member.start(url, functions), await Member.start(url, functions)];
  members.push(first, second);

  let dispatched = 0;
  /** A dispatch that was not acknowledged is made again under the same id. */
  const dispatchAll = async (member: Member): Promise<string[]> => {
    const ids = Array.from({ length: DISPATCHES }, () => randomBytes(16).toString('hex'));
    for (const id of ids) {
      while (!(await dispatches(member, id))) await delay(50);
      dispatched += 1;
      await delay(5);
    }
    return ids;
  };
  const dispatching = Promise.all(members.map(dispatchAll));
  await until(() => dispatched > DISPATCHES / 2);
  await database.crash(2 * LEASE);
  const ids = (await dispatching).flat();

  const results = await Promise.all(ids.map((id) => second.result(id)));
  expect(results.map((result) => result?.split(',').sort().join())).toEqual(ids.map(() => '1,2'));
  const lines = members.flatMap(({ log }) => log.lines);
  expect(lines.filter((line) => /out of touch|no sign of life/.test(line))).toEqual([]);
});
