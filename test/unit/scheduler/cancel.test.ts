import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NotFoundError, Status } from '../../../lib/errors/index.js';
import { EMPTY_JOURNAL, type RunAnswer } from '../../../lib/protocol/index.js';
import { turns } from '../../support/manual-clock.js';
import {
  after,
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
  tailCall,
  text,
  World,
  type Script,
} from './world.js';

describe('cancelling a call', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const expectCancelled = async (id: string) => {
    const { state, status, result } = await world.scheduler.wait(id);
    expect([state, status, result.error?.type]).toEqual(['cancelled', Status.PERMANENT_ERROR, 'Cancelled']);
  };
  const start = async (name: string, endpoint = LOCAL) => {
    const id = await world.dispatch(name, { endpoint });
    await turns(20);
    return id;
  };
  const firstOf = (name: string) => world.requestsOf(name)[0]?.dispatchId ?? '';

  it('keeps one that has not begun from ever running', async () => {
    world.define('f', () => exit());
    const id = await world.dispatch('f', { dueAt: world.clock.now() + 1_000 });
    expect(await world.scheduler.cancel(id)).toBe(true);
    await expectCancelled(id);
    await world.advance(5_000);
    expect(world.requests).toHaveLength(0);
  });

  it('keeps one from ever running whose input is still being read', async () => {
    await world.restart({ payloadMemory: 0 });
    const disk = new Deferred<void>();
    const input = world.store.input.bind(world.store);
    world.store.input = (id) => disk.promise.then(() => input(id));
    world.define('f', () => exit());
    const id = await world.dispatch('f', { input: text('large') });
    await turns();
    await world.scheduler.cancel(id);
    disk.resolve();
    expect((await world.scheduler.wait(id)).state).toBe('cancelled');
    expect(world.requests).toHaveLength(0);
  });

  it('says whether there was anything to cancel', async () => {
    world.define('f', () => exit());
    const { id } = await world.run('f');
    expect(await world.scheduler.cancel(id)).toBe(false);
    await expect(world.scheduler.cancel('f'.repeat(32))).rejects.toThrow(NotFoundError);
  });

  const late: [string, () => RunAnswer][] = [
    ['exits', () => exit('done')],
    ['fails', () => failed(Status.INVALID_ARGUMENT)],
    ['fails for a while', () => failed(Status.TEMPORARY_ERROR)],
    ['makes a tail call', () => tailCall({ function: 'f' })],
    ['does not know its state', () => failed(Status.INCOMPATIBLE_STATE)],
  ];
  it.each(late)('aborts the signal of one that runs; when it then %s, it is cancelled', async (_, answer) => {
    const done = new Deferred<RunAnswer>();
    let signal: AbortSignal | undefined;
    world.define('f', (_request, options) => {
      signal = options.signal;
      return done.promise;
    });
    const id = await start('f');
    const disk = new Deferred<void>();
    world.beforeCommit = () => disk.promise;
    const cancelled = world.scheduler.cancel(id);
    await turns();
    expect(signal?.aborted).toBe(false);
    disk.resolve();
    expect(await cancelled).toBe(true);
    expect(signal?.aborted).toBe(true);
    expect(await world.scheduler.get(id)).toMatchObject({ state: 'running', cancelling: true });
    done.resolve(answer());
    await expectCancelled(id);
    expect(world.requests).toHaveLength(1);
  });

  it('ends one that takes no notice after the grace', async () => {
    world.define('f', () => new Promise(() => undefined));
    const id = await start('f');
    await world.scheduler.cancel(id);
    await world.clock.advance(59_999, turns);
    expect((await world.scheduler.get(id))?.state).toBe('running');
    await world.clock.advance(1, turns);
    await expectCancelled(id);
  });

  /** Suspended until it is cancelled; then it cleans up with a durable call. */
  const cleansUp: Script = (request, { context }) => {
    if (context?.cancelled)
      return poll({ calls: [callOf({ id: 9, function: 'cleanup' })], appendTo: context.position });
    const got = resultsOf(request)?.some((result) => result.correlationId === 9n);
    if (got) return exit('clean');
    return poll({ calls: [callOf({ id: 1, function: 'child' })], appendTo: context?.position });
  };

  it('resumes one that is suspended once, so that it can clean up', async () => {
    world.define('child', () => poll({ maxWait: 1e9 }));
    world.define('cleanup', () => exit('swept'));
    world.define('f', cleansUp);
    const id = await start('f');
    expect(await world.scheduler.cancel(id)).toBe(true);
    await expectCancelled(id);
    const told = world.contextsOf('f').map((context) => context?.cancelled);
    expect(told.filter(Boolean)).toHaveLength(1);
    expect((await world.scheduler.wait(firstOf('cleanup'))).state).toBe('succeeded');
  });

  it('gives the cleanup a minute', async () => {
    world.define('child', () => exit());
    world.define('cleanup', () => poll({ maxWait: 1e9 }));
    world.define('f', cleansUp);
    world.scripts.set('child', () => poll({ maxWait: 1e9, appendTo: EMPTY_JOURNAL }));
    const id = await start('f');
    await world.scheduler.cancel(id);
    await world.clock.advance(59_000, turns);
    expect(await world.scheduler.get(id)).toMatchObject({ state: 'suspended', cancelling: true });
    await world.clock.advance(1_000, turns);
    await expectCancelled(id);
    await world.clock.advance(60_000, turns);
    await expectCancelled(firstOf('cleanup'));
  });

  it('tells it again when its answer was lost, and after a restart', async () => {
    let times = 0;
    world.define('child', () => poll({ maxWait: 1e9 }));
    world.define('f', (_request, { context }) => {
      if (!context?.cancelled)
        return poll({ calls: [callOf({ id: 1, function: 'child' })], appendTo: context?.position });
      times += 1;
      if (times === 1) return failed(Status.TEMPORARY_ERROR);
      if (times === 2) return new Promise(() => undefined);
      return exit();
    });
    const id = await start('f');
    await world.scheduler.cancel(id);
    await world.clock.advance(1_000, turns);
    expect(times).toBe(2);
    await world.crash();
    await expectCancelled(id);
    expect(times).toBe(3);
  });

  it('tells one that suspends itself after the signal, and makes none of its calls', async () => {
    const done = new Deferred<RunAnswer>();
    world.define('child', () => exit());
    world.define('f', (_request, { context }) => (context?.cancelled ? exit() : done.promise));
    const id = await start('f');
    await world.scheduler.cancel(id);
    done.resolve(poll({ calls: [callOf({ id: 1, function: 'child' })], appendTo: EMPTY_JOURNAL }));
    await expectCancelled(id);
    expect(world.requestsOf('child')).toHaveLength(0);
  });

  it('tells one that is in backoff with a state, and ends one that is without', async () => {
    world.define('without', () => failed(Status.TEMPORARY_ERROR));
    world.define('with', async (_request, { context }) => {
      if (context?.cancelled) return exit();
      const journal = Buffer.from('abc');
      await context?.checkpoint({ journal, position: after(EMPTY_JOURNAL, journal), calls: [] });
      return failed(Status.TEMPORARY_ERROR);
    });
    world.random = () => 0.999;
    const ids = ['1', '2'].map((digit) => digit.repeat(32));
    await world.dispatch('without', { id: ids[0] });
    await world.dispatch('with', { id: ids[1] });
    await turns(20);
    for (const id of ids) await world.scheduler.cancel(id);
    for (const id of ids) await expectCancelled(id);
    expect(world.contextsOf('with').map((context) => context?.cancelled)).toEqual([false, true]);
    expect(world.requestsOf('without')).toHaveLength(1);
  });

  it('does not run one again that was running when the process died', async () => {
    world.define('f', () => new Promise(() => undefined));
    const id = await start('f');
    await world.scheduler.cancel(id);
    await world.crash();
    await expectCancelled(id);
    expect(world.requests).toHaveLength(1);
  });

  it('ends one of another service at once when it is suspended', async () => {
    world.define('f', () => poll({ maxWait: 1e9 }));
    const id = await start('f', FOREIGN);
    await world.scheduler.cancel(id);
    await expectCancelled(id);
    expect(world.requests).toHaveLength(1);
  });

  it('reaches the whole tree', async () => {
    world.define('running', () => new Promise(() => undefined));
    world.define('suspended', () => poll({ maxWait: 1e9, calls: [callOf({ function: 'running' })] }));
    world.define('f', () =>
      poll({
        calls: [
          callOf({ id: 1, function: 'suspended', endpoint: FOREIGN }),
          callOf({ id: 2, function: 'queued', endpoint: FOREIGN }),
        ],
      }),
    );
    world.scheduler.setFunctions(FOREIGN, [{ name: 'queued', concurrency: 0 }]);
    const id = await start('f', FOREIGN);
    await world.scheduler.cancel(id);
    const { calls } = await world.scheduler.list();
    expect(new Map(calls.map((call) => [call.function, call.cancelling || call.state]))).toEqual(
      new Map<string, string | boolean>([
        ['running', true],
        ['queued', 'cancelled'],
        ['suspended', 'cancelled'],
        ['f', 'cancelled'],
      ]),
    );
  });

  it('gives the parent of a cancelled call a result', async () => {
    world.define('child', () => poll({ maxWait: 1e9 }));
    world.define(
      'f',
      joins(() => [callOf({ function: 'child', endpoint: FOREIGN })]),
    );
    const id = await start('f');
    await world.scheduler.cancel(firstOf('child'));
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('Cancelled');
  });

  it('is what happens to the children of a call that has finished', async () => {
    world.define('child', () => poll({ maxWait: 1e9 }));
    world.define('f', (request) =>
      resultsOf(request) ? exit() : poll({ maxWait: 1_000, calls: [callOf({ function: 'child', endpoint: FOREIGN })] }),
    );
    const id = await start('f');
    await world.clock.advance(1_000, turns);
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
    await expectCancelled(firstOf('child'));
  });

  it('manages a tree that is wide and one that is deep', async () => {
    const calls = Array.from({ length: 5_000 }, (_, index) =>
      callOf({ id: index, function: 'later', endpoint: FOREIGN }),
    );
    world.define('later', () => poll({ maxWait: 1e9 }));
    world.define('wide', () => poll({ calls }));
    let depth = 0;
    world.define('deep', () =>
      ++depth < 1_000
        ? poll({ calls: [callOf({ id: 1, function: 'deep', endpoint: FOREIGN })] })
        : poll({ maxWait: 1e9 }),
    );
    const ids = [
      await world.dispatch('wide', { endpoint: FOREIGN }),
      await world.dispatch('deep', { endpoint: FOREIGN }),
    ];
    await world.idle();
    for (const id of ids) await world.scheduler.cancel(id);
    await world.idle();
    const left = await world.scheduler.list({ state: ['pending', 'suspended'] });
    expect(left.calls).toEqual([]);
  });
});
