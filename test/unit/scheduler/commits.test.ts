import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import type { RunAnswer } from '../../../lib/protocol/index.js';
import { NATIVE_ENDPOINT, NATIVE_WAIT } from '../../../lib/scheduler/index.js';
import { turns } from '../../support/manual-clock.js';
import {
  callOf,
  Deferred,
  exit,
  failed,
  FOREIGN,
  joins,
  LOCAL,
  poll,
  read,
  resultsOf,
  storeIsDown,
  text,
  World,
} from './world.js';

describe('group commit', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
    world.define('child', () => exit('c'));
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const types = () => world.commits.map((commit) => commit.map((mutation) => mutation.type));

  it('has one commit under way at a time, and collects for the next meanwhile', async () => {
    const disks: Deferred<void>[] = [];
    world.beforeCommit = () => {
      const disk = new Deferred<void>();
      disks.push(disk);
      return disk.promise;
    };
    const first = world.dispatch('child');
    await turns();
    const others = [world.dispatch('child'), world.dispatch('child')];
    await turns();
    expect(disks).toHaveLength(1);
    disks[0]?.resolve();
    await first;
    await turns();
    expect(disks).toHaveLength(2);
    world.beforeCommit = undefined;
    disks[1]?.resolve();
    await Promise.all(others);
    await world.idle();
    expect(world.commits[1]?.filter((mutation) => mutation.type === 'create')).toHaveLength(2);
  });

  it('stores many calls that come together in several commits, each of which lets those of the one before run', async () => {
    const calls = Array.from({ length: 1_000 }, () => ({ endpoint: LOCAL, function: 'child' }));
    await Promise.all([1, 2, 3].map(() => world.scheduler.dispatch(calls)));
    const created = world.commits.map((commit) => commit.filter(({ type }) => type === 'create').length);
    expect(created).toEqual([1_000, 1_000, 1_000]);
    expect(world.commits[2]?.some(({ type }) => type === 'finish')).toBe(true);
    await world.idle();
  });

  it('takes one commit for a step of a sequential function', async () => {
    world.define('steps', (request, { context }) => {
      const done = Number(resultsOf(request)?.[0]?.correlationId ?? 0n);
      if (done === 10) return exit('done');
      return poll({ calls: [callOf({ id: done + 1, function: 'child' })], appendTo: context?.position });
    });
    await world.run('steps');
    // The dispatch, ten steps, and the end.
    expect(world.commits).toHaveLength(12);
    expect(types()[1]).toEqual(['append', 'progress', 'create', 'finish']);
  });

  it('starts a child only after the commit where the function asks for that', async () => {
    world.scheduler.setFunctions(LOCAL, [{ name: 'child', startAfterCommit: true }]);
    world.define(
      'parent',
      joins(() => [callOf({ function: 'child' })]),
    );
    await world.run('parent');
    expect(types().slice(1)).toEqual([['append', 'progress', 'create'], ['finish'], ['finish']]);
  });

  it.each([
    ['a child of another service', LOCAL, FOREIGN],
    ['children of an endpoint that does not speak the extension', FOREIGN, FOREIGN],
  ])('starts %s only after the commit', async (_, parent, child) => {
    world.define(
      'parent',
      joins(() => [callOf({ function: 'child', endpoint: child })]),
    );
    await world.run('parent', { endpoint: parent });
    expect(types().filter((commit) => commit.includes('create') && commit.includes('finish'))).toEqual([]);
  });

  it('does not resume a parent with a result that is not committed', async () => {
    const disk = new Deferred<void>();
    world.define('child', () => {
      world.beforeCommit = () => disk.promise;
      return exit('c');
    });
    world.define(
      'parent',
      joins(() => [callOf({ function: 'child' })]),
    );
    const id = await world.dispatch('parent');
    await turns(10);
    expect(world.requestsOf('child')).toHaveLength(1);
    expect(world.requestsOf('parent')).toHaveLength(1);
    disk.resolve();
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('c');
  });
});

describe('a store that fails', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  it('has the run made again whose outcome is lost, with the same attempt', async () => {
    world.define('f', () => {
      if (world.requests.length === 1) world.beforeCommit = storeIsDown;
      return exit(`run ${world.requests.length}`);
    });
    const id = await world.dispatch('f');
    await turns(10);
    world.beforeCommit = undefined;
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('run 2');
    expect(world.contexts.map((context) => context?.attempt)).toEqual([1, 1]);
    const [before, after] = world.contexts;
    expect(after?.fence).toBeGreaterThan(before?.fence ?? Infinity);
  });

  it('is reported once, with what to do, and once more when it is back', async () => {
    world.define('f', () => exit());
    await world.dispatch('f', { dueAt: world.clock.now() + 1 });
    world.beforeCommit = storeIsDown;
    await world.clock.advance(60_000, turns);
    expect(world.log.lines).toHaveLength(1);
    expect(world.log.lines[0]).toMatch(/^error The store memory: could not write: the disk is full\..*disk has space/);
    world.beforeCommit = undefined;
    await world.advance(60_000);
    expect(world.log.lines[1]).toMatch(/^log The store memory: works again/);
  });

  it('makes runs again ever more slowly while it is down', async () => {
    world.define('f', () => exit());
    await world.dispatch('f', { dueAt: world.clock.now() + 1 });
    world.beforeCommit = storeIsDown;
    await world.clock.advance(60_000, turns);
    expect(world.requests.length).toBeLessThan(15);
  });

  it('goes on at once when a dispatch shows that it is back', async () => {
    world.define('f', () => {
      if (world.requests.length === 1) world.beforeCommit = storeIsDown;
      return exit();
    });
    const id = await world.dispatch('f');
    await turns(10);
    world.beforeCommit = undefined;
    await world.dispatch('f');
    await world.idle();
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
  });

  it('has the speculative children of a lost poll aborted and forgotten, and makes them again', async () => {
    const signals: AbortSignal[] = [];
    let commits = 0;
    world.define('child', (_request, { signal }) => {
      signals.push(signal);
      return signals.length === 1 ? new Promise(() => undefined) : exit('second');
    });
    world.define(
      'parent',
      joins(() => [callOf({ id: 7, function: 'child' })]),
    );
    world.beforeCommit = () => {
      if (++commits === 2) storeIsDown();
    };
    const id = await world.dispatch('parent');
    await turns(10);
    expect(signals[0]?.aborted).toBe(true);
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('second');
    const [first, second] = world.requestsOf('child').map((request) => request.dispatchId);
    expect(first).toBe(second);
    expect(world.requestsOf('parent').map((request) => resultsOf(request)?.length)).toEqual([undefined, undefined, 1]);
  });

  it('does not go on with a child of a lost poll that asks for a resume', async () => {
    let commits = 0;
    world.define('child', (_request, { context }) => poll({ maxWait: 1e9, appendTo: context?.position }));
    world.define(
      'parent',
      joins(() => [callOf({ id: 7, function: 'child' })]),
    );
    world.beforeCommit = async () => {
      if (++commits !== 2) return;
      await turns(5);
      storeIsDown();
    };
    await world.dispatch('parent');
    await turns(20);
    world.contextsOf('child')[0]?.wake();
    await world.advance(1_000);
    expect(world.requestsOf('child').map(({ directive }) => directive.case)).toEqual(['input', 'input']);
  });

  it('does not give a function results again that it has taken in, when a later change is lost', async () => {
    const disk = new Deferred<void>();
    let commits = 0;
    world.define('quick', () => exit('1'));
    world.define('slow', () => new Promise(() => undefined));
    const calls = [callOf({ id: 1, function: 'quick' }), callOf({ id: 2, function: 'slow' })];
    world.define('parent', (request, { context }) => {
      if (!resultsOf(request)) return poll({ calls, appendTo: context?.position });
      world.beforeCommit = () => (++commits === 1 ? disk.promise : storeIsDown());
      return poll({ appendTo: context?.position });
    });
    const id = await world.dispatch('parent');
    await turns(10);
    const cancelled = expect(world.scheduler.cancel(id)).rejects.toThrow('the disk is full');
    disk.resolve();
    await cancelled;
    world.beforeCommit = undefined;
    await world.clock.advance(1_000, turns);
    expect(world.requestsOf('parent').map((request) => resultsOf(request)?.length)).toEqual([undefined, 1]);
  });

  it('does not start a child of a lost poll that waited for a slot of its function', async () => {
    world.scheduler.setFunctions(LOCAL, [{ name: 'narrow', concurrency: 1 }]);
    const busy = new Deferred<RunAnswer>();
    let commits = 0;
    world.define('narrow', () => (world.requestsOf('narrow').length === 1 ? busy.promise : exit('1')));
    world.define(
      'parent',
      joins(() => [callOf({ id: 7, function: 'narrow' })]),
    );
    await world.dispatch('narrow');
    await turns();
    world.beforeCommit = () => (++commits === 2 ? storeIsDown() : undefined);
    const id = await world.dispatch('parent');
    await world.clock.advance(1_000, turns);
    busy.resolve(exit());
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('1');
    await world.idle();
    expect(world.requestsOf('narrow')).toHaveLength(2);
  });

  it('loses no result when it ends the wait for a call that was never made', async () => {
    const [disk, slow] = [new Deferred<void>(), new Deferred<RunAnswer>()];
    const never = '0'.repeat(32);
    const wait = { id: 1, endpoint: NATIVE_ENDPOINT, function: NATIVE_WAIT, input: text(never) };
    let commits = 0;
    let got = 0;
    let hasCrashed = false;
    world.define('slow', () => slow.promise);
    world.define('parent', (request, { context }) => {
      const results = resultsOf(request);
      got += results?.length ?? 0;
      if (got === 2) return hasCrashed ? exit('both') : new Promise(() => undefined);
      const calls = results ? [] : [callOf(wait), callOf({ id: 2, function: 'slow' })];
      return poll({ calls, appendTo: context?.position });
    });
    const id = await world.dispatch('parent', { dueAt: world.clock.now() + 1 });
    world.beforeCommit = () => (++commits === 1 ? disk.promise : commits === 2 ? storeIsDown() : undefined);
    await world.clock.advance(1, turns);
    const refused = expect(world.dispatch('slow', { id: never })).rejects.toThrow('the disk is full');
    await turns();
    world.contextsOf('parent')[0]?.wake();
    disk.resolve();
    await refused;
    await world.clock.advance(1_000, turns);
    slow.resolve(exit());
    await turns(10);
    expect(got).toBe(2);
    [got, hasCrashed] = [1, true];
    await world.crash();
    await world.idle();
    expect((await world.scheduler.get(id))?.state).toBe('succeeded');
  });

  it('loses neither the result of a child nor the place of its parent', async () => {
    let commits = 0;
    world.define('slow', () => turns(5).then(() => exit('slow')));
    world.define(
      'parent',
      joins(() => [1, 2, 3].map((id) => callOf({ id, function: 'slow' }))),
    );
    world.beforeCommit = () => {
      if (++commits % 2 === 0 && commits < 20) storeIsDown();
    };
    const id = await world.dispatch('parent');
    await world.advance(60_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('slow,slow,slow');
  });

  it('keeps the result of a child that was committed while the end of its parent was lost', async () => {
    const [second, end] = [new Deferred<RunAnswer>(), new Deferred<RunAnswer>()];
    const disk = new Deferred<void>();
    world.define('first', () => exit('1'));
    world.define('second', () => second.promise);
    const calls = [callOf({ id: 1, function: 'first' }), callOf({ id: 2, function: 'second' })];
    const seen: number[] = [];
    world.define('parent', (request, { context }) => {
      const results = resultsOf(request);
      if (!results) return poll({ calls, appendTo: context?.position });
      seen.push(results.length);
      return seen.length === 1 ? end.promise : exit('again');
    });
    const id = await world.dispatch('parent');
    await turns(10);
    let commits = 0;
    world.beforeCommit = () => (++commits === 1 ? disk.promise : commits === 2 ? storeIsDown() : undefined);
    second.resolve(exit('2'));
    await turns(10);
    end.resolve(exit('lost'));
    await turns(10);
    disk.resolve();
    await turns(10);
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('again');
    expect(seen).toEqual([1, 2]);
  });

  it('resumes a call again whose live instance had asked for it', async () => {
    world.define('f', (request, { context }) => {
      if (!resultsOf(request)) return poll({ maxWait: 1e9, appendTo: context?.position });
      if (world.requests.length === 2) world.beforeCommit = storeIsDown;
      return exit('done');
    });
    const id = await world.dispatch('f');
    await world.idle();
    world.contexts[0]?.wake();
    await turns(10);
    world.beforeCommit = undefined;
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('done');
    expect(world.requests).toHaveLength(3);
  });

  it('does not cancel when the cancellation is lost', async () => {
    const answers: Deferred<ReturnType<typeof exit>>[] = [];
    world.define('f', () => {
      const answer = new Deferred<ReturnType<typeof exit>>();
      answers.push(answer);
      return answer.promise;
    });
    const id = await world.dispatch('f');
    await turns();
    world.beforeCommit = storeIsDown;
    await expect(world.scheduler.cancel(id)).rejects.toThrow('the disk is full');
    world.beforeCommit = undefined;
    await world.clock.advance(1_000, turns);
    answers.at(-1)?.resolve(exit('fine'));
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
  });

  it('has runs wait that it cannot read the input of', async () => {
    world.define('f', () => (world.requests.length === 1 ? failed(Status.TEMPORARY_ERROR) : exit('done')));
    const input = world.store.input.bind(world.store);
    let reads = 0;
    world.store.input = async (id) => (++reads < 3 ? storeIsDown() : input(id));
    const id = await world.dispatch('f');
    await world.advance(60_000);
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
    expect(world.log.lines).toContainEqual(expect.stringMatching(/could not read: the disk is full/));
  });
});
