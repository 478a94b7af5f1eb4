import { describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { InvalidArgumentError } from '../../lib/errors/index.js';
import { refuseIfOther, type NewCall } from '../../lib/scheduler/index.js';
import { until, type Member } from '../support/fleet.js';
import { TestFleet } from '../support/test-fleet.js';
import { exit, inputOf, LOCAL, text, type Script } from '../unit/scheduler/world.js';

const fleet = TestFleet.use();
const echo: Script = (request) => exit(inputOf(request) ?? '');
const start = () => fleet.start({ echo });

let keys = 0;
const newId = (): string => (++keys).toString(16).padStart(32, '0');
const call = (id: string | undefined, input: string): NewCall => ({
  endpoint: LOCAL,
  function: 'echo',
  input: text(input),
  id,
});

/** As a client does with idempotency keys, each of which stands for an id. */
function dispatch(member: Member, calls: readonly NewCall[]): Promise<string[]> {
  return member.scheduler.dispatch(calls, (known, index) => {
    const { endpoint = '', function: name = '', input, id } = calls[index] ?? {};
    refuseIfOther({ endpoint, function: name, input, idempotencyKey: id }, known);
  });
}

const rows = async (): Promise<number> => {
  const [row] = await fleet.database.query(`SELECT count(*)::int AS count FROM ${fleet.schema}.calls`);
  return Number(row?.['count']);
};

describe('one key that two processes dispatch at the same moment', () => {
  it('is one call, with one id and one run', async () => {
    const [first, second] = [await start(), await start()];
    for (let round = 0; round < 20; round++) {
      const id = newId();
      const made = await Promise.all([first, second].map((member) => dispatch(member, [call(id, 'same')])));
      expect(made).toEqual([[id], [id]]);
      expect(await second.result(id)).toBe('same');
    }
    expect([...first.runs, ...second.runs]).toHaveLength(20);
  });

  it('ends for all who wait for it, also where another process was first to make it', async () => {
    const { database, schema } = fleet;
    const members = [await start(), await start()];
    const held = `SELECT FROM pg_locks WHERE NOT granted AND relation = '${schema}.calls'::regclass`;
    const round = async (): Promise<boolean> => {
      const id = newId();
      await database.query('BEGIN');
      await database.query(`LOCK TABLE ${schema}.calls IN SHARE MODE`);
      const made = members.map((member) => dispatch(member, [call(id, 'same')]));
      await until(async () => (await database.query(held)).length === members.length);
      const results = members.map((member) => member.result(id).catch(() => 'refused'));
      await database.query('COMMIT');
      await Promise.all(made);
      return (await Promise.all(results)).every((result) => result === 'same');
    };
    // A commit that is held up for too long is given up, and who waits may hear of that: such a round tells nothing.
    await until(round);
  });

  it('is run by a process that was second to make it, where the first one leaves it to others', async () => {
    const client = await fleet.start({}, { scheduler: { run: false } });
    const members = [client, await start(), await start()];
    for (let round = 0; round < 20; round++) {
      const id = newId();
      const made = await Promise.all(members.map((member) => dispatch(member, [call(id, 'same')])));
      expect(made).toEqual(members.map(() => [id]));
      expect(await client.result(id)).toBe('same');
    }
    expect(members.flatMap(({ runs }) => runs)).toHaveLength(20);
  });

  it('is an error for the later one with another input, which leaves nothing of its batch', async () => {
    const [first, second] = [await start(), await start()];
    for (let round = 0; round < 20; round++) {
      const id = newId();
      // Of two that begin together one is always first: either comes a little later now and then.
      const batches = [first, second].map(async (member, n) => {
        await delay(Math.abs(round - 10) * 0.5 * ((round + n) % 2));
        return dispatch(member, [call(undefined, `beside ${n}`), call(id, `input ${n}`), call(newId(), `after ${n}`)]);
      });
      const outcomes = await Promise.allSettled(batches);
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
      expect(refused).toHaveLength(1);
      expect(refused[0]?.reason).toBeInstanceOf(InvalidArgumentError);
      const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
      expect(await first.result(id)).toBe(`input ${winner}`);
    }
    expect(await rows()).toBe(60);
  });

  it('is refused in the process that made it as well, and within a batch', async () => {
    const only = await start();
    const id = newId();
    const outcomes = await Promise.allSettled([
      dispatch(only, [call(id, 'one'), call(undefined, 'beside')]),
      dispatch(only, [call(undefined, 'nothing'), call(id, 'two')]),
    ]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await rows()).toBe(2);
    const twice = newId();
    await expect(dispatch(only, [call(twice, 'one'), call(twice, 'two')])).rejects.toThrow(InvalidArgumentError);
    expect(await dispatch(only, [call(twice, 'one'), call(twice, 'one')])).toEqual([twice, twice]);
    expect(await rows()).toBe(3);
  });
});
