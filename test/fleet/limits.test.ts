import { describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { until, type Member } from '../support/fleet.js';
import { TestFleet } from '../support/test-fleet.js';
import { callOf, Deferred, exit, inputOf, joins, LOCAL, text, type Script } from '../unit/scheduler/world.js';

const fleet = TestFleet.use();
const start: TestFleet['start'] = (functions, options) => fleet.start(functions, options);

/** How many are at work at the same moment, for each name that they give. */
class Counter {
  readonly most: Record<string, number> = {};
  private readonly now: Record<string, number> = {};

  /** Works shortly, under the name that its input is. */
  readonly script: Script = async (request) => {
    const name = inputOf(request) ?? '';
    this.now[name] = (this.now[name] ?? 0) + 1;
    this.most[name] = Math.max(this.most[name] ?? 0, this.now[name]);
    await delay(2);
    this.now[name] -= 1;
    return exit(name);
  };
}

const keyed = (key: string) => ({ key, input: text(key) });

describe('keys of schedulers on one PostgreSQL database', () => {
  it('hold across all of them', async () => {
    const counter = new Counter();
    const policies = [{ name: 'work', perKey: 2 }];
    const members = [];
    for (let n = 0; n < 3; n++) members.push(await start({ work: counter.script }, { policies }));
    const calls = members.flatMap((member) =>
      Array.from({ length: 40 }, (_, n) => ({ member, key: n % 2 === 0 ? 'Ada' : 'Bob' })),
    );
    await Promise.all(calls.map(async ({ member, key }) => member.result(await member.dispatch('work', keyed(key)))));
    expect(counter.most).toEqual({ Ada: 2, Bob: 2 });
    expect(members.flatMap(({ runs }) => runs)).toHaveLength(calls.length);
  });

  it('are free for others while one is held elsewhere', async () => {
    const gate = new Deferred<void>();
    const held: Script = async (request) => {
      if (inputOf(request) === 'Ada') await gate.promise;
      return exit(inputOf(request) ?? '');
    };
    const [first, second] = [await start({ held }), await start({ held })];
    const begun = await first.dispatch('held', keyed('Ada'));
    await until(() => first.runs.length === 1);
    const waits = await second.dispatch('held', keyed('Ada'));
    expect(await second.result(await second.dispatch('held', keyed('Bob')))).toBe('Bob');
    await until(async () => (await second.scheduler.get(waits))?.waitsFor === 'key');
    expect(second.runs).toEqual(['held']);
    gate.resolve();
    expect(await first.result(begun)).toBe('Ada');
    expect(await second.result(waits)).toBe('Ada');
  });

  it('are kept by a call whose process dies, until another one has ended it', async () => {
    const order: string[] = [];
    const gate = new Deferred<void>();
    const work: Script = async (request) => {
      order.push(request.dispatchId);
      if (order.length === 1) await gate.promise;
      return exit('done');
    };
    const first = await start({ work });
    const begun = await first.dispatch('work', keyed('Ada'));
    await until(() => order.length === 1);
    const second = await start({ work });
    const waits = await second.dispatch('work', keyed('Ada'));
    await until(async () => (await second.scheduler.get(waits))?.waitsFor === 'key');
    await fleet.endFirstProcess();
    expect([await second.result(begun), await second.result(waits)]).toEqual(['done', 'done']);
    expect(order).toEqual([begun, begun, waits]);
    gate.resolve();
  });

  it('go to the next in line when one is cancelled that waits', async () => {
    const gate = new Deferred<void>();
    const held: Script = async () => {
      await gate.promise;
      return exit('held');
    };
    const [first, second] = [await start({ held }), await start({ held })];
    await first.dispatch('held', keyed('Ada'));
    await until(() => first.runs.length === 1);
    const cancelled = await second.dispatch('held', keyed('Ada'));
    const next = await second.dispatch('held', keyed('Ada'));
    await until(async () => (await second.scheduler.get(cancelled))?.waitsFor === 'key');
    expect(await first.scheduler.cancel(cancelled)).toBe(true);
    gate.resolve();
    expect(await second.result(next)).toBe('held');
    expect(await second.scheduler.wait(cancelled)).toMatchObject({ state: 'cancelled' });
  });
});

describe('a key for which many calls wait', () => {
  const MANY = 1_000;
  /** Calls that wait for a key in memory are few, whoever has dispatched them. */
  const AT_HAND = 200;
  /** What one process claims at first, before it is known that many have one key. */
  const FIRST_CLAIM = 200;
  const many = (key: string) =>
    Array.from({ length: MANY }, (_, n) => ({ endpoint: LOCAL, function: 'work', key, input: text(`${key} ${n}`) }));
  const inMemory = async (): Promise<number> => {
    const [row] = await fleet.database.query(
      `SELECT count(*)::int AS count FROM ${fleet.schema}.calls WHERE finished_at IS NULL AND owner > 0`,
    );
    return Number(row?.['count']);
  };
  /** The first call of Ada takes as long as the gate is closed. */
  const gated = () => {
    const gate = new Deferred<void>();
    const order: string[] = [];
    const work: Script = async (request) => {
      const name = inputOf(request) ?? '';
      order.push(name);
      if (name === 'Ada 0') await gate.promise;
      return exit(name);
    };
    return { gate, order, work };
  };

  it.each([
    ['a client that runs nothing', false],
    ['a process that has the function', true],
  ])('has few of them in memory that %s dispatches, and delays no others', async (_, run) => {
    const { gate, order, work } = gated();
    const members = [await start({ work }), await start({ work })];
    const client = await start(run ? { work } : {}, { scheduler: { run } });
    const ids = await client.scheduler.dispatch(many('Ada'));
    await until(() => order.includes('Ada 0'));
    const others = await client.scheduler.dispatch(
      ['Bob', 'Cleo', undefined].map((key) => ({ endpoint: LOCAL, function: 'work', key, input: text(String(key)) })),
    );
    expect(await Promise.all(others.map((id) => client.result(id)))).toEqual(['Bob', 'Cleo', 'undefined']);
    await until(async () => (await inMemory()) <= AT_HAND);
    const last = ids.at(-1) ?? '';
    await until(async () => (await members[0]?.scheduler.get(last))?.waitsFor === 'key');

    // One that waits in the store ends like any other.
    expect(await members[1]?.scheduler.cancel(last)).toBe(true);
    expect(await client.scheduler.wait(last)).toMatchObject({ state: 'cancelled' });
    gate.resolve();
    await Promise.all(ids.slice(0, 100).map((id) => client.result(id)));
    const begun = order.filter((name) => name.startsWith('Ada')).map((name) => Number(name.slice(4)));
    // Each process has some at hand, and they take turns: any of them may be the first.
    const elsewhere = (members.length + Number(run) - 1) * FIRST_CLAIM;
    begun.forEach((number, place) => expect(number).toBeLessThanOrEqual(place + elsewhere));
    expect(await inMemory()).toBeLessThanOrEqual(AT_HAND);
  });

  it('is taken up again when the processes that had them are gone', async () => {
    const { work, order } = gated();
    const first = await start({ work });
    const client = await start({}, { scheduler: { run: false } });
    const ids = await client.scheduler.dispatch(many('Ada'));
    await until(() => order.length === 1);
    await until(async () => (await client.scheduler.get(ids.at(-1) ?? ''))?.waitsFor === 'key');
    // Nobody is left who would leave the line, nor anybody who would hear of it.
    await fleet.database.query(
      `UPDATE ${fleet.schema}.calls SET finished_at = 1, state = 5, status = 2, result = '' WHERE owner > 0`,
    );
    await first.stop();
    const second = await start({ work });
    await until(() => second.runs.length > 100);
    expect(new Set(order).size).toBe(order.length);
  });
});

describe('limits of functions of schedulers on one PostgreSQL database', () => {
  const limited = (concurrency: number) => ({ policies: [{ name: 'work', concurrency }] });
  const run = (members: readonly Member[], each: number) =>
    Promise.all(
      members.flatMap((member) =>
        Array.from({ length: each }, async () => member.result(await member.dispatch('work', { input: text('run') }))),
      ),
    );
  const startAll = (script: Script, concurrency: number, count: number) =>
    Promise.all(Array.from({ length: count }, () => start({ work: script }, limited(concurrency))));

  it('hold across all of them, and are used', async () => {
    const counter = new Counter();
    await run(await startAll(counter.script, 4, 3), 60);
    expect(counter.most).toEqual({ run: 4 });
  });

  it('hold where there are fewer runs than processes, and each process has its turns', async () => {
    const counter = new Counter();
    const members = await startAll(counter.script, 1, 3);
    await run(members, 150);
    expect(counter.most).toEqual({ run: 1 });
    for (const { runs } of members) expect(runs.length).toBeGreaterThan(0);
  });

  it('hold while processes come and go', async () => {
    const counter = new Counter();
    const stays = await start({ work: counter.script }, limited(3));
    const all = run([stays], 200);
    for (let n = 0; n < 4; n++) {
      const guest = await start({ work: counter.script }, limited(3));
      await run([guest], 10);
      await guest.stop();
    }
    await all;
    expect(counter.most).toEqual({ run: 3 });
  });

  it('are the lowest that any of them declares, while it is there', async () => {
    const gate = new Deferred<void>();
    const counter = { now: 0, most: 0 };
    const work: Script = async (request) => {
      counter.now += 1;
      counter.most = Math.max(counter.most, counter.now);
      if (inputOf(request) === 'long') await gate.promise;
      else await delay(2);
      counter.now -= 1;
      return exit('done');
    };
    const careful = await start({ work }, limited(2));
    const careless = await start({ work });
    await run([careless], 50);
    expect(counter.most).toBe(2);
    await careful.stop();
    const ids = await Promise.all(Array.from({ length: 6 }, () => careless.dispatch('work', { input: text('long') })));
    await until(() => counter.now === 6);
    gate.resolve();
    await Promise.all(ids.map((id) => careless.result(id)));
  });

  it('are the other process’s where one has no work', async () => {
    const gate = new Deferred<void>();
    let running = 0;
    const work: Script = async (request) => {
      running += 1;
      if (inputOf(request) === 'long') await gate.promise;
      running -= 1;
      return exit('done');
    };
    const [first, second] = [await start({ work }, limited(4)), await start({ work }, limited(4))];
    await run([first], 20);
    const long = await Promise.all(Array.from({ length: 6 }, () => second.dispatch('work', { input: text('long') })));
    await until(() => running === 4);
    gate.resolve();
    await Promise.all(long.map((id) => second.result(id)));
  });

  it('are free again when the process that has them dies', async () => {
    const gate = new Deferred<void>();
    const work: Script = async (request) => {
      if (inputOf(request) === 'long') await gate.promise;
      return exit('done');
    };
    const first = await start({ work }, limited(1));
    const long = await first.dispatch('work', { input: text('long') });
    await until(() => first.runs.length === 1);
    const second = await start({ work }, limited(1));
    const waits = await second.dispatch('work', { input: text('short') });
    await until(async () => (await second.scheduler.get(waits))?.waitsFor === 'turn');
    gate.resolve();
    await fleet.endFirstProcess();
    expect(await second.result(waits)).toBe('done');
    expect(await second.result(long)).toBe('done');
  });

  it('are free for other processes while a call is suspended', async () => {
    const gate = new Deferred<void>();
    const held: Script = async () => {
      await gate.promise;
      return exit('held');
    };
    const work = joins(() => [callOf({ id: 1, function: 'held' })]);
    // Nothing follows from the end of a lease within the time of a test.
    const options = { ...limited(1), store: { lease: 600_000 } };
    const members = [await start({ work, held }, options), await start({ work, held }, options)] as const;
    const ids: string[] = [];
    for (const member of members) {
      ids.push(await member.dispatch('work'));
      await until(() => member.runs.includes('held'));
    }
    expect(members.map(({ runs }) => runs)).toEqual(members.map(() => ['work', 'held']));
    gate.resolve();
    expect(await Promise.all(ids.map((id) => members[0].result(id)))).toEqual(['held', 'held']);
  });

  it('leave calls of functions without one alone', async () => {
    const gate = new Deferred<void>();
    const held: Script = async () => {
      await gate.promise;
      return exit('held');
    };
    const functions = { held, free: () => exit('free') };
    const policies = [{ name: 'held', concurrency: 1 }];
    const members = [
      await start(functions, { policies, scheduler: { concurrency: 2 } }),
      await start(functions, { policies }),
    ];
    const client = await start({}, { scheduler: { run: false } });
    const many = Array.from({ length: 500 }, () => ({ endpoint: LOCAL, function: 'held' }));
    const ids = await client.scheduler.dispatch(many);
    await until(() => members.some(({ runs }) => runs.includes('held')));
    expect(await client.result(await client.dispatch('free'))).toBe('free');
    gate.resolve();
    await Promise.all(ids.map((id) => client.result(id)));
    expect(members.flatMap(({ runs }) => runs).filter((name) => name === 'held')).toHaveLength(many.length);
  });

  it('give up slots that have no use, also where they were not told of those who wait', async () => {
    const work = () => exit('done');
    const policies = [{ name: 'work', concurrency: 1 }];
    const [first, second] = [await start({ work }, { policies }), await start({ work }, { policies })];
    await first.result(await first.dispatch('work'));
    // As where the second one has asked, and the first one was out of touch with the server then.
    await fleet.database.query(
      `INSERT INTO ${fleet.schema}.slots (endpoint, function, process, slots, wanted, turn)
       SELECT '${LOCAL}', 'work', max(id), 0, 1, 100 FROM ${fleet.schema}.processes`,
    );
    expect(await second.result(await second.dispatch('work'))).toBe('done');
    expect(second.runs).toEqual(['work']);
  });
});
