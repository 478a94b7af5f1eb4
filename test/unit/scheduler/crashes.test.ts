import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import type { DispatchId, Mutation } from '../../../lib/scheduler/index.js';
import { turns } from '../../support/manual-clock.js';
import { callOf, Deferred, exit, failed, joins, LOCAL, poll, read, storeIsDown, World } from './world.js';

describe('a process that dies', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
    world.define('never', () => new Promise(() => undefined));
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  it('has its calls taken up by the next one', async () => {
    world.define(
      'sleeps',
      joins(() => [], { maxWait: 10_000 }),
    );
    world.define('child', () => turns(30).then(() => exit('c')));
    world.define(
      'joins',
      joins(() => [callOf({ id: 1, function: 'child' }), callOf({ id: 2, function: 'child' })]),
    );
    world.define('later', () => exit());
    const ids = [
      await world.dispatch('sleeps'),
      await world.dispatch('joins'),
      await world.dispatch('later', { dueAt: world.clock.now() + 5_000 }),
    ];
    await turns(10);
    await world.crash();
    await turns(10);
    await world.crash();
    await world.advance(10_000);
    const outcomes = await Promise.all(ids.map((id) => world.scheduler.wait(id)));
    expect(outcomes.map((outcome) => read(outcome.result.output))).toEqual(['', 'c,c', '']);
  });

  it('is counted for the calls that it was running, and for no others', async () => {
    world.define('sleeps', () => poll({ maxWait: 1e9 }));
    const [running, suspended] = [await world.dispatch('never'), await world.dispatch('sleeps')];
    await turns(10);
    await world.crash();
    expect((await world.scheduler.get(running))?.crashes).toBe(1);
    expect((await world.scheduler.get(suspended))?.crashes).toBe(0);
    expect(world.contextsOf('never').map((context) => context?.attempt)).toEqual([1, 1]);
  });

  it('is forgotten once a run of the call comes to an end', async () => {
    let answers = [failed(Status.TEMPORARY_ERROR)];
    world.define('f', () => answers.shift() ?? new Promise(() => undefined));
    answers = [];
    const id = await world.dispatch('f');
    await turns(10);
    answers = [failed(Status.TEMPORARY_ERROR)];
    await world.crash();
    await turns(10);
    expect((await world.scheduler.get(id))?.crashes).toBe(0);
  });

  it('is not counted for a call that ended its run while the store could not note that', async () => {
    world.define('f', ({ directive }) => (directive.case === 'input' ? poll({ maxWait: 1e9 }) : exit()));
    world.define('other', () => exit());
    const markRunning = world.store.markRunning.bind(world.store);
    world.store.markRunning = (started, ended) => (ended.length > 0 ? storeIsDown() : markRunning(started, ended));
    const id = await world.dispatch('f');
    await world.idle();
    world.store.markRunning = markRunning;
    await world.run('other');
    await world.idle();
    await world.crash();
    expect((await world.scheduler.get(id))?.crashes).toBe(0);
  });

  it('is not counted when it was stopped', async () => {
    const id = await world.dispatch('never');
    await turns(10);
    await world.restart();
    expect((await world.scheduler.get(id))?.crashes).toBe(0);
  });

  it('fails a call at the fifth time in a row, and names it', async () => {
    const id = await world.dispatch('never');
    for (let crash = 0; crash < 5; crash++) {
      await turns(10);
      await world.crash();
    }
    const { status, result } = await world.scheduler.wait(id);
    expect(status).toBe(Status.PERMANENT_ERROR);
    expect(result.error?.message).toBe('its process ended 5 times while it ran');
    expect(world.requests).toHaveLength(5);
    expect(world.log.lines.join()).toMatch(`error call ${id} of never failed: its process ended 5 times`);
  });

  it('has suspects start alone, one at a time, before all else', async () => {
    const started: string[] = [];
    const answers = new Map<string, Deferred<ReturnType<typeof exit>>>();
    const script = (name: string) => () => {
      started.push(name);
      const answer = new Deferred<ReturnType<typeof exit>>();
      answers.set(name, answer);
      return answer.promise;
    };
    for (const name of ['a', 'b']) world.define(name, script(name));
    world.define('good', () => {
      started.push('good');
      return exit();
    });
    await world.dispatch('good', { dueAt: world.clock.now() + 10 });
    for (const name of ['a', 'b']) await world.dispatch(name);
    await turns(10);
    await world.crash();
    await turns(10);
    world.kill();
    started.length = 0;
    await world.clock.advance(10);
    world.scheduler = world.create();
    await world.scheduler.start();
    await turns(10);
    expect(started).toEqual(['a']);
    answers.get('a')?.resolve(exit());
    await turns(10);
    expect(started).toEqual(['a', 'b']);
    await world.clock.advance(4_999, turns);
    expect(started).toEqual(['a', 'b']);
    await world.clock.advance(1, turns);
    expect(started).toEqual(['a', 'b', 'good']);
  });

  it.each([
    { first: 'never', deadlyAfter: 0 },
    { first: 'deadly', deadlyAfter: 0 },
    { first: 'never', deadlyAfter: 7_000 },
    { first: 'deadly', deadlyAfter: 7_000 },
  ])(
    'is blamed on the suspect that ends it, not on one that runs for long ($first first, deadly after $deadlyAfter ms)',
    async ({ first, deadlyAfter }) => {
      let startedAt = Infinity;
      world.define('deadly', () => {
        startedAt = world.clock.now();
        return new Promise(() => undefined);
      });
      const names = first === 'deadly' ? ['deadly', 'never'] : ['never', 'deadly'];
      const ids = new Map<string, DispatchId>();
      for (const name of names) ids.set(name, await world.dispatch(name));
      const stateOf = async (name: string) => (await world.scheduler.get(ids.get(name) ?? ''))?.state;
      for (let second = 0; second < 300 && (await stateOf('deadly')) !== 'failed'; second++) {
        await turns(10);
        if (world.clock.now() - startedAt >= deadlyAfter) {
          startedAt = Infinity;
          await world.crash();
        }
        await world.clock.advance(1_000, turns);
      }
      expect(await stateOf('deadly')).toBe('failed');
      expect(await stateOf('never')).toBe('running');
    },
  );

  it('is found out although the call that ends it was never committed', async () => {
    let crash = new Deferred<void>();
    let dying = false;
    world.define('bomb', () => {
      dying = true;
      crash.resolve();
      return new Promise(() => undefined);
    });
    world.define(
      'parent',
      joins(() => [callOf({ id: 1, function: 'bomb' })]),
    );
    // What the child does ends the process before the commit that creates it is done.
    const disk = new Deferred<void>();
    const createsChild = (mutations: readonly Mutation[]) =>
      mutations.some((mutation) => mutation.type === 'create' && mutation.header.parentId !== '');
    world.beforeCommit = (mutations) => (dying && createsChild(mutations) ? disk.promise : undefined);
    const id = await world.dispatch('parent');
    for (let crashes = 0; crashes < 6; crashes++) {
      await crash.promise;
      crash = new Deferred<void>();
      await turns();
      dying = false;
      await world.crash();
    }
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('PermanentError');
  });

  it('starts nothing while the crashes cannot be counted', async () => {
    const id = await world.dispatch('never');
    await turns(10);
    world.beforeCommit = () => {
      throw new Error('the disk is full');
    };
    await expect(world.crash()).rejects.toThrow('the disk is full');
    world.beforeCommit = undefined;
    world.scheduler = world.create();
    await world.scheduler.start();
    await turns(10);
    expect((await world.scheduler.get(id))?.state).toBe('running');
    expect(world.requests).toHaveLength(2);
  });
});

describe('a scheduler that is stopped', () => {
  it('lets the start get done first', async () => {
    const world = new World();
    const started = world.scheduler.start();
    await world.scheduler.stop();
    await started;
    await expect(world.scheduler.dispatch([])).rejects.toThrow(/stopped/);
    world.scheduler = world.create();
    await world.scheduler.start();
    await world.scheduler.stop();
  });

  it('waits for what is running, and starts nothing', async () => {
    const world = await World.started();
    const answer = new Deferred<ReturnType<typeof exit>>();
    world.define('child', () => exit('c'));
    world.define('f', () => answer.promise);
    world.scheduler.setFunctions(LOCAL, [{ name: 'f', concurrency: 1 }]);
    const ids = [await world.dispatch('f'), await world.dispatch('f')];
    await turns(10);
    let stopped = false;
    const stop = world.scheduler.stop().then(() => (stopped = true));
    await turns(10);
    expect(stopped).toBe(false);
    answer.resolve(exit('done'));
    await stop;
    expect(world.requests).toHaveLength(1);
    world.scheduler = world.create();
    await world.scheduler.start();
    const outcomes = await Promise.all(ids.map((id) => world.scheduler.wait(id)));
    expect(outcomes.map(({ state }) => state)).toEqual(['succeeded', 'succeeded']);
    await world.scheduler.stop();
  });

  it('aborts what takes longer than the grace, and leaves it to the next start', async () => {
    const world = await World.started();
    let signal: AbortSignal | undefined;
    world.define('f', (_request, options) => {
      signal = options.signal;
      return world.requests.length > 1 ? exit('done') : new Promise(() => undefined);
    });
    const id = await world.dispatch('f');
    await turns(10);
    const stop = world.scheduler.stop({ grace: 3_000 });
    await world.clock.advance(2_999, turns);
    expect(signal?.aborted).toBe(false);
    await world.clock.advance(1, turns);
    await stop;
    expect(signal?.aborted).toBe(true);
    world.scheduler = world.create();
    await world.scheduler.start();
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('done');
    await world.scheduler.stop();
    expect(world.clock.pending).toBe(0);
  });
});
