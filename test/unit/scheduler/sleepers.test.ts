import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  NATIVE_ENDPOINT,
  NATIVE_WAIT,
  type CallRow,
  type DispatchId,
  type NewCall,
} from '../../../lib/scheduler/index.js';
import { callOf, exit, FOREIGN, inputOf, poll, read, resultsOf, stateOf, storeIsDown, text, World } from './world.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe('calls that sleep for long', () => {
  let world: World;
  /** Calls that were read from the store, as they are when they have left memory. */
  let reads: DispatchId[];
  beforeEach(async () => {
    world = await World.started();
    const get = world.store.get.bind(world.store);
    reads = [];
    world.store.get = (id): Promise<CallRow | undefined> => {
      reads.push(id);
      return get(id);
    };
    world.define('echo', (request) => exit(inputOf(request)));
    world.define('sleeper', (request) => {
      if (resultsOf(request) === undefined) return poll({ state: 'asleep', maxWait: HOUR });
      return exit(`woke from ${stateOf(request)}`);
    });
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const sleeper = (call: Partial<NewCall> = {}) => world.dispatch('sleeper', { endpoint: FOREIGN, ...call });
  const delayed = (input: string, delay = HOUR) =>
    world.dispatch('echo', { input: text(input), dueAt: world.clock.now() + delay });
  const resultOf = async (id: DispatchId) => read((await world.scheduler.wait(id)).result.output);

  it('leave memory and come back by the thousand, each in time', async () => {
    const calls = Array.from({ length: 2_000 }, (_, n) => ({
      endpoint: 'http://local',
      function: 'echo',
      input: text(`call ${n}`),
      dueAt: world.clock.now() + HOUR + n * 1_000,
    }));
    const ids = await world.scheduler.dispatch(calls);
    expect(reads).toEqual([]);
    expect(world.scheduler.census()).toMatchObject({ delayed: 2_000, ready: 0 });
    await world.advance(HOUR + 999_000);
    expect(reads).toHaveLength(1_000);
    expect(new Set(reads)).toEqual(new Set(ids.slice(0, 1_000)));
    expect(world.requests.map(inputOf)).toEqual(Array.from({ length: 1_000 }, (_, n) => `call ${n}`));
    expect(world.scheduler.census()).toMatchObject({ delayed: 1_000, ready: 0 });
    await world.advance(HOUR);
    expect(world.requests).toHaveLength(2_000);
    expect(world.scheduler.census()).toMatchObject({ delayed: 0 });
  });

  it('go on from their state', async () => {
    const id = await sleeper();
    await world.advance(HOUR - 1);
    expect(await world.scheduler.get(id)).toMatchObject({ state: 'suspended', waitsFor: 'time' });
    expect(world.scheduler.census()).toMatchObject({ suspended: 1 });
    const result = resultOf(id);
    await world.advance(1);
    expect(await result).toBe('woke from asleep');
    expect(world.scheduler.census()).toMatchObject({ suspended: 0 });
  });

  it('stay when they sleep for a minute', async () => {
    await delayed('a', MINUTE);
    await world.advance(MINUTE);
    expect(world.requests).toHaveLength(1);
    expect(reads).toEqual([]);
  });

  it('stay as long as their process has a live instance, which may go on at any time', async () => {
    world.define('live', (request, { context }) => {
      return resultsOf(request) ? exit('went on') : poll({ maxWait: HOUR, appendTo: context?.position });
    });
    const [first, second] = [await world.dispatch('live'), await world.dispatch('live')];
    await world.idle();
    world.contexts[1]?.released();
    world.contexts[1]?.wake();
    world.contexts[0]?.wake();
    expect(await resultOf(first)).toBe('went on');
    expect(world.contexts[2]?.stateOmitted).toBe(true);
    expect(reads).toEqual([]);
    await world.advance(HOUR);
    expect(await resultOf(second)).toBe('went on');
    expect(world.contexts[3]?.stateOmitted).toBe(false);
    expect(reads).toEqual([second]);
  });

  it('leave where their instance was given up before their answer was committed', async () => {
    world.define('live', (_request, { context }) => {
      context?.released();
      return poll({ maxWait: HOUR, appendTo: context?.position });
    });
    const id = await world.dispatch('live');
    await world.advance(HOUR);
    expect(reads).toEqual([id]);
    expect(world.contexts[1]?.stateOmitted).toBe(false);
  });

  it('make calls afterwards without asking the store whether they are new', async () => {
    world.define('parent', (request) => {
      if (resultsOf(request) === undefined) return poll({ maxWait: HOUR });
      const [result] = resultsOf(request) ?? [];
      if (result) return exit(read(result.output));
      return poll({ calls: [callOf({ id: 1, function: 'echo', endpoint: 'http://local', input: text('child') })] });
    });
    const id = await world.dispatch('parent', { endpoint: FOREIGN });
    const result = resultOf(id);
    await world.advance(HOUR);
    expect(await result).toBe('child');
    expect(reads).toEqual([id]);
  });

  it('can be cancelled', async () => {
    const ids = [await sleeper(), await delayed('a')];
    await world.idle();
    for (const id of ids) {
      expect(await world.scheduler.cancel(id)).toBe(true);
      expect((await world.scheduler.wait(id)).state).toBe('cancelled');
    }
    await world.advance(2 * HOUR);
    expect(world.requests).toHaveLength(1);
    expect(world.scheduler.census()).toMatchObject({ delayed: 0, suspended: 0 });
  });

  it('are cancelled once, by whoever asks first', async () => {
    const id = await sleeper();
    await world.idle();
    const cancelled = await Promise.all([world.scheduler.cancel(id), world.scheduler.cancel(id)]);
    expect(cancelled.toSorted()).toEqual([false, true]);
    expect(reads.filter((asked) => asked === id)).toHaveLength(1);
  });

  it('cannot be retried', async () => {
    const id = await sleeper();
    await world.idle();
    await expect(world.scheduler.retry(id)).rejects.toThrow('it is suspended');
  });

  it('expire in time', async () => {
    const id = await sleeper({ expiration: HOUR / 2 });
    const outcome = world.scheduler.wait(id);
    await world.advance(HOUR / 2);
    expect((await outcome).result.error?.type).toBe('TimeoutError');
  });

  it('are the same calls when they are dispatched again', async () => {
    const call = { endpoint: FOREIGN, function: 'sleeper', id: 'ab'.repeat(16) };
    await world.scheduler.dispatch([call]);
    await world.idle();
    expect(await world.scheduler.dispatch([call])).toEqual([call.id]);
    await world.advance(HOUR);
    expect(world.requestsOf('sleeper')).toHaveLength(2);
  });

  it('may be waited for by others', async () => {
    const id = await sleeper();
    await world.idle();
    world.define('waits', (request) => {
      const [result] = resultsOf(request) ?? [];
      if (result) return exit(read(result.output));
      return poll({ calls: [callOf({ function: NATIVE_WAIT, endpoint: NATIVE_ENDPOINT, input: text(id) })] });
    });
    const waiting = await world.dispatch('waits');
    await world.advance(HOUR);
    expect(await resultOf(waiting)).toBe('woke from asleep');
  });

  it('go on once they can be read, where they could not when their time came', async () => {
    const id = await delayed('late');
    const { get } = world.store;
    world.store.get = storeIsDown;
    await world.advance(HOUR);
    expect(world.requests).toEqual([]);
    expect(world.log.lines.filter((line) => line.includes('could not read'))).toHaveLength(1);
    world.store.get = get;
    await world.advance(20_000);
    expect(await resultOf(id)).toBe('late');
  });

  it('are found by the next process', async () => {
    const ids = [await sleeper(), await delayed('a')];
    await world.idle();
    await world.crash();
    expect(world.scheduler.census()).toMatchObject({ delayed: 1, suspended: 1 });
    await world.advance(HOUR / 2);
    await world.restart();
    await world.advance(HOUR / 2);
    expect(await Promise.all(ids.map(resultOf))).toEqual(['woke from asleep', 'a']);
    expect(world.requests).toHaveLength(3);
  });
});
