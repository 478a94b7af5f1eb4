import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { NewCall } from '../../../lib/scheduler/index.js';
import { turns } from '../../support/manual-clock.js';
import { callOf, exit, FOREIGN, inputOf, joins, LOCAL, poll, resultsOf, text, World } from './world.js';

/** Calls of a function, one for each label. */
const callsOf = (name: string, labels: readonly string[], call: Partial<NewCall> = {}): NewCall[] =>
  labels.map((label) => ({ endpoint: LOCAL, function: name, input: text(label), ...call }));

const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);

describe('the order of ready calls', () => {
  let world: World;
  beforeEach(async () => {
    world = new World({ concurrency: 1 });
    for (const name of ['f', 'g', 'h']) world.define(name, () => exit());
    await world.scheduler.start();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  /** What the inputs of the runs were, in their order. */
  const order = (): string => world.requests.flatMap((request) => inputOf(request) || []).join(' ');

  it('is first in, first out for calls of the same kind', async () => {
    await world.scheduler.dispatch(callsOf('f', numbered('', 8)));
    await world.idle();
    expect(order()).toBe('1 2 3 4 5 6 7 8');
  });

  it('has functions take turns', async () => {
    await world.scheduler.dispatch([
      ...callsOf('f', numbered('f', 5)),
      ...callsOf('g', numbered('g', 2)),
      ...callsOf('h', numbered('h', 3)),
    ]);
    await world.idle();
    expect(order()).toBe('f1 g1 h1 f2 g2 h2 f3 h3 f4 f5');
  });

  it('has endpoints take turns, however many functions they have', async () => {
    await world.scheduler.dispatch([
      ...callsOf('f', numbered('f', 3)),
      ...callsOf('g', numbered('g', 3)),
      ...callsOf('h', numbered('h', 4), { endpoint: FOREIGN }),
    ]);
    await world.idle();
    expect(order()).toBe('f1 h1 g1 h2 f2 h3 g2 h4 f3 g3');
  });

  it('has root calls take turns, and calls of one root go first in, first out', async () => {
    const children = (prefix: string) =>
      joins(() => numbered(prefix, 4).map((label, id) => callOf({ id, function: 'f', input: text(label) })));
    world.define('a', children('a'));
    world.define('b', children('b'));
    await world.scheduler.dispatch([...callsOf('a', ['A']), ...callsOf('b', ['B'])]);
    await world.idle();
    expect(order()).toBe('A B a1 b1 a2 b2 a3 b3 a4 b4');
  });

  it('lets a call that comes after a flood of another root run within a few turns', async () => {
    const flood = Array.from({ length: 10_000 }, (_, id) => callOf({ id, function: 'f', input: text('x') }));
    let seen = 0;
    world.define('flood', (request) => {
      const results = resultsOf(request);
      seen += results?.length ?? 0;
      return seen === flood.length ? exit() : poll({ calls: results ? [] : flood, minResults: 1_000 });
    });
    await world.dispatch('flood');
    while (world.requestsOf('f').length < 100) await turns(1);
    const before = world.requestsOf('f').length;
    await world.scheduler.dispatch([...callsOf('f', numbered('same', 5)), ...callsOf('g', numbered('other', 5))]);
    await world.idle();
    const runs = world.requests.map((request) => inputOf(request) ?? '');
    const last = Math.max(runs.lastIndexOf('same5'), runs.lastIndexOf('other5'));
    const delayedBy = runs.slice(0, last).filter((label) => label === 'x').length - before;
    // The commit that makes them durable takes a few turns as well.
    expect(delayedBy).toBeLessThan(100);
    expect(world.requestsOf('f')).toHaveLength(10_005);
  });

  it('puts a resume behind what its root has ready already', async () => {
    world.define(
      'parent',
      joins(() => numbered('c', 3).map((label, id) => callOf({ id, function: 'f', input: text(label) })), {
        minResults: 1,
      }),
    );
    await world.scheduler.dispatch(callsOf('parent', ['P', 'Q']));
    await world.idle();
    const ends = (await world.scheduler.list({ state: 'succeeded', roots: true })).calls;
    expect(ends).toHaveLength(2);
  });

  it('is not disturbed by calls that are cancelled while they wait', async () => {
    let release = () => {};
    world.define('blocker', () => new Promise((resolve) => (release = () => resolve(exit()))));
    await world.dispatch('blocker');
    await turns(10);
    const ids = await world.scheduler.dispatch([
      ...callsOf('f', numbered('f', 4)),
      ...callsOf('g', numbered('g', 2)),
      ...callsOf('f', ['f5'], { priority: 3 }),
    ]);
    await Promise.all([0, 2, 4, 5, 6].map((index) => world.scheduler.cancel(ids[index] ?? '')));
    release();
    await world.idle();
    expect(order()).toBe('f2 f4');
    expect((await world.scheduler.list({ state: 'cancelled' })).calls).toHaveLength(5);
  });
});

describe('priorities', () => {
  let world: World;
  beforeEach(async () => {
    world = new World({ concurrency: 1 });
    for (const name of ['f', 'g']) world.define(name, () => exit());
    await world.scheduler.start();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const runs = (): string[] => world.requests.flatMap((request) => inputOf(request) ?? []);

  it('let calls of a higher one start first', async () => {
    await world.scheduler.dispatch([
      ...callsOf('f', numbered('low', 2), { priority: -5 }),
      ...callsOf('f', numbered('none', 2)),
      ...callsOf('g', numbered('high', 2), { priority: 7 }),
    ]);
    await world.idle();
    expect(runs()).toEqual(['high1', 'high2', 'none1', 'none2', 'low1', 'low2']);
  });

  it('leave one start in ten to lower ones, which take turns, so that nothing starves', async () => {
    await world.scheduler.dispatch([
      ...callsOf('f', numbered('a', 5), { priority: -5 }),
      ...callsOf('f', numbered('b', 5)),
      ...callsOf('f', numbered('c', 100), { priority: 9 }),
    ]);
    await world.idle();
    const lower = runs().flatMap((label, index) => (label.startsWith('c') ? [] : [`${index + 1}: ${label}`]));
    expect(lower.slice(0, 6)).toEqual(['10: b1', '20: a1', '30: b2', '40: a2', '50: b3', '60: a3']);
  });

  it('go over to the calls of a call', async () => {
    const children = (label: string) => joins(() => [callOf({ function: 'f', input: text(label) })]);
    world.define('low', children('of low'));
    world.define('high', children('of high'));
    await world.scheduler.dispatch([
      ...callsOf('low', ['low1', 'low2']),
      ...callsOf('high', ['high1', 'high2'], { priority: 1 }),
    ]);
    await world.idle();
    const order = runs();
    expect(order.lastIndexOf('of high')).toBeLessThan(order.indexOf('of low'));
  });

  it('pass over what is behind a limit', async () => {
    let release = () => {};
    world.define('held', () => new Promise((resolve) => (release = () => resolve(exit()))));
    await world.restart({ concurrency: 2 });
    world.scheduler.setFunctions(LOCAL, [{ name: 'held', concurrency: 1 }]);
    await world.scheduler.dispatch([
      ...callsOf('held', ['h1', 'h2'], { priority: 9 }),
      ...callsOf('f', numbered('f', 3)),
    ]);
    await turns(20);
    expect(runs()).toEqual(['h1', 'f1', 'f2', 'f3']);
    release();
    await turns(10);
    release();
    await world.idle();
    expect(runs().at(-1)).toBe('h2');
  });

  it('are kept over a restart', async () => {
    await world.restart({ run: false });
    await world.scheduler.dispatch([
      ...callsOf('f', ['low'], { priority: -1 }),
      ...callsOf('f', ['none']),
      ...callsOf('f', ['high'], { priority: 1 }),
    ]);
    await world.restart({ concurrency: 1 });
    await world.idle();
    expect(runs()).toEqual(['high', 'none', 'low']);
  });
});
