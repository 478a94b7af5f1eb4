import { describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../support/fleet.js';
import { TestFleet } from '../support/test-fleet.js';
import { Deferred, exit, inputOf, text, type Script } from '../unit/scheduler/world.js';

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
