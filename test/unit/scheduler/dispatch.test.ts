import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { create } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { InvalidArgumentError, NotFoundError, TimeoutError } from '../../../lib/errors/index.js';
import { NATIVE_ENDPOINT, SchedulerStoppedError, StoreError, type NewCall } from '../../../lib/scheduler/index.js';
import { turns } from '../../support/manual-clock.js';
import { callOf, Deferred, exit, joins, LOCAL, read, storeIsDown, text, World } from './world.js';

const ID = '0123456789abcdef0123456789abcdef';

describe('dispatching calls', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
    world.define('f', () => exit('done'));
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  it('gives ids in the order of the calls, which begin with the time', async () => {
    const calls = ['a', 'b', 'c'].map((input) => ({ endpoint: LOCAL, function: 'f', input: text(input) }));
    const ids = await world.scheduler.dispatch(calls);
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) {
      expect(id).toMatch(/^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
      expect(parseInt(id.slice(0, 12), 16)).toBe(world.clock.now());
    }
    await world.idle();
    expect(world.requests.map((request) => request.dispatchId)).toEqual(ids);
  });

  it('answers only once the calls are durable, and runs nothing before', async () => {
    const disk = new Deferred<void>();
    world.beforeCommit = () => disk.promise;
    let acknowledged = false;
    const dispatched = world.dispatch('f').then(() => (acknowledged = true));
    await turns(10);
    expect(acknowledged).toBe(false);
    expect(world.requests).toHaveLength(0);
    disk.resolve();
    await dispatched;
    await world.idle();
    expect(world.requests).toHaveLength(1);
  });

  it('records what is dispatched in one turn in one commit', async () => {
    await Promise.all([world.dispatch('f'), world.dispatch('f'), world.dispatch('f')]);
    expect(world.commits[0]).toHaveLength(3);
  });

  it('rejects the calls whose commit failed, and has none of them', async () => {
    world.beforeCommit = storeIsDown;
    const calls = [ID, undefined].map((id) => ({ endpoint: LOCAL, function: 'f', id }));
    await expect(world.scheduler.dispatch(calls)).rejects.toThrow(StoreError);
    world.beforeCommit = undefined;
    await world.advance(1_000);
    expect(world.requests).toHaveLength(0);
    await expect(world.scheduler.wait(ID)).rejects.toThrow(NotFoundError);
  });

  it('creates nothing for an id that exists: in the same dispatch, before or after the call has finished', async () => {
    const call = { endpoint: LOCAL, function: 'f', id: ID };
    expect(await world.scheduler.dispatch([call, call])).toEqual([ID, ID]);
    expect(await world.scheduler.dispatch([call])).toEqual([ID]);
    await world.scheduler.wait(ID);
    expect(await world.scheduler.dispatch([call])).toEqual([ID]);
    await world.restart();
    expect(await world.scheduler.dispatch([call])).toEqual([ID]);
    await world.idle();
    expect(world.requests).toHaveLength(1);
  });

  it('creates nothing for an id that finished while the store was asked for it', async () => {
    const call = { endpoint: LOCAL, function: 'f', id: ID };
    const answer = new Deferred<void>();
    const get = world.store.get.bind(world.store);
    let asked = 0;
    world.store.get = async (id) => {
      const row = await get(id);
      if (++asked === 1) await answer.promise;
      return row;
    };
    const first = world.scheduler.dispatch([call]);
    await turns();
    await world.scheduler.dispatch([call]);
    await world.scheduler.wait(ID);
    answer.resolve();
    expect(await first).toEqual([ID]);
    await world.idle();
    expect(world.requests).toHaveLength(1);
  });

  it('starts a call that is due later no earlier', async () => {
    await world.dispatch('f', { dueAt: world.clock.now() + 5_000 });
    await world.advance(4_999);
    expect(world.requests).toHaveLength(0);
    await world.advance(1);
    expect(world.requests).toHaveLength(1);
  });

  it('keeps the priority and the key of a call, and gives its priority to what it calls', async () => {
    world.define(
      'parent',
      joins(() => [callOf({ function: 'f' })]),
    );
    const id = await world.dispatch('parent', { priority: -3, key: 'k' });
    await world.idle();
    const { calls } = await world.scheduler.list({ rootId: id });
    expect(calls.map((call) => [call.function, call.priority, call.key])).toEqual([
      ['f', -3, undefined],
      ['parent', -3, 'k'],
    ]);
    await world.restart();
    expect(await world.scheduler.get(id)).toMatchObject({ priority: -3, key: 'k' });
  });

  const refusals: [string, Partial<NewCall>, RegExp][] = [
    ['a function name outside of the pattern', { function: '1st' }, /1st/],
    ['an empty function name', { function: '' }, /names no function/],
    ['an endpoint of another scheme', { endpoint: 'ftp://x' }, /ftp:\/\/x/],
    ['no endpoint', { endpoint: '' }, /names no endpoint/],
    ['the endpoint of the scheduler itself', { endpoint: NATIVE_ENDPOINT, function: 'wait' }, /dispatch:/],
    ['a malformed id', { id: 'x' }, /32/],
    ['a negative expiration', { expiration: -1 }, /expiration/],
    ['a time that is none', { dueAt: NaN }, /dueAt/],
    ['a priority that is no whole number', { priority: 0.5 }, /priority of f is 0\.5.*from -100 to 100/],
    ['a priority out of range', { priority: -101 }, /priority/],
    ['an empty key', { key: '' }, /key of a call of f has 0 characters/],
    ['an endless key', { key: 'x'.repeat(1_025) }, /from 1 to 1024/],
    ['an input that no request can hold', { input: create(AnySchema, { value: new Uint8Array(16e6) }) }, /16000000/],
  ];
  it.each(refusals)('refuses %s, and all that came with it', async (_, call, message) => {
    const good = { endpoint: LOCAL, function: 'f' };
    const refused = world.scheduler.dispatch([good, { ...good, ...call }]);
    await expect(refused).rejects.toThrow(InvalidArgumentError);
    await expect(refused).rejects.toThrow(message);
    await world.idle();
    expect(world.commits).toHaveLength(0);
  });

  it('is refused before the start and after the stop', async () => {
    const call = { endpoint: LOCAL, function: 'f' };
    await expect(new World().scheduler.dispatch([call])).rejects.toThrow(SchedulerStoppedError);
    await world.scheduler.stop();
    await expect(world.scheduler.dispatch([call])).rejects.toThrow(SchedulerStoppedError);
    await expect(world.scheduler.wait(ID)).rejects.toThrow(SchedulerStoppedError);
  });
});

describe('waiting for a call', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  it('tells nothing before it is committed', async () => {
    const disk = new Deferred<void>();
    world.define('f', () => {
      world.beforeCommit = () => disk.promise;
      return exit('done');
    });
    let told = false;
    const waited = world.scheduler.wait(await world.dispatch('f')).then(() => (told = true));
    await turns(10);
    expect(told).toBe(false);
    disk.resolve();
    await waited;
  });

  it('rejects for a call that there is not', async () => {
    await expect(world.scheduler.wait(ID)).rejects.toThrow(NotFoundError);
  });

  it('ends after its timeout, without ending the call', async () => {
    const answer = new Deferred<ReturnType<typeof exit>>();
    world.define('f', () => answer.promise);
    const id = await world.dispatch('f');
    const waited = expect(world.scheduler.wait(id, { timeout: 1_000 })).rejects.toThrow(TimeoutError);
    await world.clock.advance(1_000, turns);
    await waited;
    answer.resolve(exit('late'));
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('late');
  });

  it('ends with its signal', async () => {
    world.define('f', () => new Promise(() => undefined));
    const id = await world.dispatch('f');
    const controller = new AbortController();
    const waited = world.scheduler.wait(id, { signal: controller.signal });
    controller.abort(new Error('no more'));
    await expect(waited).rejects.toThrow('no more');
    await expect(world.scheduler.wait(id, { signal: controller.signal })).rejects.toThrow('no more');
  });

  it('ends with the scheduler', async () => {
    const id = await world.dispatch('f', { dueAt: world.clock.now() + 1_000 });
    const waited = expect(world.scheduler.wait(id)).rejects.toThrow(SchedulerStoppedError);
    await world.scheduler.stop();
    await waited;
  });
});
