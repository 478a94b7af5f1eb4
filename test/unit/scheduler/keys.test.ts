import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import type { RunAnswer } from '../../../lib/protocol/index.js';
import { turns } from '../../support/manual-clock.js';
import {
  callOf,
  Deferred,
  exit,
  failed,
  inputOf,
  joins,
  LOCAL,
  poll,
  resultsOf,
  storeIsDown,
  tailCall,
  text,
  World,
} from './world.js';

describe('calls with the same key', () => {
  let world: World;
  /** Runs of `f` that a test ends, by their inputs. */
  const open = new Map<string, Deferred<RunAnswer>>();
  beforeEach(async () => {
    world = await World.started();
    open.clear();
    world.define('f', (request) => {
      const answer = new Deferred<RunAnswer>();
      open.set(inputOf(request) ?? 'resumed', answer);
      return answer.promise;
    });
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const dispatch = (label: string, key?: string, name = 'f') => world.dispatch(name, { key, input: text(label) });
  const answer = async (label: string, given: RunAnswer = exit()) => {
    open.get(label)?.resolve(given);
    open.delete(label);
    await turns(10);
  };
  const running = async (): Promise<string> => {
    await turns(10);
    return [...open.keys()].join(' ');
  };

  it('run one after the other, in the order in which they came; others go on', async () => {
    for (const label of ['a1', 'a2', 'a3']) await dispatch(label, 'a');
    await dispatch('b1', 'b');
    await dispatch('free');
    expect(await running()).toBe('a1 b1 free');
    await answer('a1');
    expect(await running()).toBe('b1 free a2');
    await answer('a2');
    await answer('a3');
    expect(await running()).toBe('b1 free');
  });

  it('are so many at a time as their function says', async () => {
    world.scheduler.setFunctions(LOCAL, [{ name: 'f', perKey: 2 }]);
    for (const label of ['1', '2', '3', '4']) await dispatch(label, 'k');
    expect(await running()).toBe('1 2');
    await answer('2');
    expect(await running()).toBe('1 3');
    world.scheduler.setFunctions(LOCAL, [{ name: 'f', perKey: 3 }]);
    expect(await running()).toBe('1 3 4');
  });

  it('of another function do not wait for each other', async () => {
    world.define('g', () => exit());
    await dispatch('1', 'k');
    await dispatch('2', 'k', 'g');
    expect(await running()).toBe('1');
    expect(world.requestsOf('g')).toHaveLength(1);
  });

  it('wait while the one that holds it is suspended', async () => {
    await dispatch('1', 'k');
    await dispatch('2', 'k');
    await running();
    await answer('1', poll({ maxWait: 60_000 }));
    expect(await running()).toBe('');
    await world.clock.advance(60_000, () => turns(10));
    expect(await running()).toBe('resumed');
    await answer('resumed');
    expect(await running()).toBe('2');
  });

  it('wait while the one that holds it is about to be tried again', async () => {
    await dispatch('1', 'k');
    await dispatch('2', 'k');
    await running();
    world.random = () => 0.999;
    await answer('1', failed(Status.TEMPORARY_ERROR));
    expect(await running()).toBe('');
    await world.clock.advance(100, () => turns(10));
    expect(await running()).toBe('1');
    await answer('1', failed(Status.PERMANENT_ERROR));
    expect(await running()).toBe('2');
  });

  it('wait no more when it fails, is cancelled or expires', async () => {
    const first = await dispatch('1', 'k');
    const second = await dispatch('2', 'k');
    await world.dispatch('f', { key: 'k', input: text('3'), expiration: 1_000 });
    await dispatch('4', 'k');
    await running();
    await world.scheduler.cancel(second);
    expect(await running()).toBe('1');
    await world.scheduler.cancel(first);
    await answer('1');
    expect(await running()).toBe('3');
    await world.clock.advance(1_000, () => turns(10));
    expect([...open.keys()]).toEqual(['3', '4']);
  });

  it('expire while they wait', async () => {
    await dispatch('1', 'k');
    const id = await world.dispatch('f', { key: 'k', input: text('2'), expiration: 1_000 });
    await world.clock.advance(1_000, () => turns(10));
    expect((await world.scheduler.wait(id)).status).toBe(Status.TIMEOUT);
    await answer('1');
    expect(await running()).toBe('');
  });

  it('show what they wait for', async () => {
    await dispatch('1', 'k');
    const id = await dispatch('2', 'k');
    await running();
    expect(await world.scheduler.get(id)).toMatchObject({ state: 'pending', waitsFor: 'key', key: 'k' });
  });

  it('are given the key when their time has come, not before', async () => {
    await world.dispatch('f', { key: 'k', input: text('later'), dueAt: world.clock.now() + 1_000 });
    await dispatch('now', 'k');
    expect(await running()).toBe('now');
    await answer('now');
    await world.clock.advance(1_000, () => turns(10));
    expect(await running()).toBe('later');
  });

  it('leave it with a tail call to another function, and keep it with one to their own', async () => {
    world.define('g', () => new Promise(() => undefined));
    await dispatch('1', 'k');
    await dispatch('2', 'k');
    await running();
    await answer('1', tailCall({ function: 'f', input: text('again') }));
    expect(await running()).toBe('again');
    await answer('again', tailCall({ function: 'g' }));
    expect(await running()).toBe('2');
    await dispatch('3', 'k', 'g');
    await turns(10);
    expect(world.requestsOf('g')).toHaveLength(1);
  });

  it('do not give it to what they call', async () => {
    let calls = 0;
    world.define('parent', (request, options) =>
      calls++ === 0 ? joins(() => [callOf({ function: 'parent' })])(request, options) : exit(),
    );
    const id = await world.dispatch('parent', { key: 'k' });
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
  });

  it('keep it over a restart of the process when they have begun', async () => {
    world.define('waits', (request) => (resultsOf(request) ? exit() : poll({ maxWait: 60_000 })));
    const [first, second] = [await dispatch('1', 'k', 'waits'), await dispatch('2', 'k', 'waits')];
    await world.idle();
    await world.crash();
    await world.idle();
    expect(world.requestsOf('waits').map((request) => request.dispatchId)).toEqual([first]);
    await world.advance(60_000);
    expect(world.requestsOf('waits').map((request) => request.dispatchId)).toEqual([first, first, second]);
  });

  it('keep it over the death of the process in their first run, though older ones wait for it', async () => {
    const delayed = { key: 'k', dueAt: world.clock.now() + 1_000 };
    await world.dispatch('f', { ...delayed, input: text('older') });
    await dispatch('begun', 'k');
    expect(await running()).toBe('begun');
    world.kill();
    open.clear();
    await world.clock.advance(1_000);
    world.scheduler = world.create();
    await world.scheduler.start();
    expect(await running()).toBe('begun');
    await answer('begun');
    expect(await running()).toBe('older');
  });

  it('keep it when the commit of their end fails', async () => {
    await dispatch('1', 'k');
    await dispatch('2', 'k');
    await running();
    world.beforeCommit = storeIsDown;
    await answer('1');
    world.beforeCommit = undefined;
    await world.clock.advance(100, () => turns(10));
    expect(await running()).toBe('1');
    await answer('1');
    expect(await running()).toBe('2');
  });

  it('are passed over by the thousand without holding up others', async () => {
    world.define('g', () => exit());
    await world.scheduler.dispatch(
      Array.from({ length: 5_000 }, () => ({ endpoint: LOCAL, function: 'f', key: 'k', input: text('held') })),
    );
    await dispatch('other', 'j', 'g');
    await turns(10);
    expect(world.requestsOf('g')).toHaveLength(1);
    expect(world.requestsOf('f')).toHaveLength(1);
  });
});
