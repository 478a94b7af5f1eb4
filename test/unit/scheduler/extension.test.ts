import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import type { Call } from '../../../lib/gen/dispatch/sdk/v1/call_pb.js';
import { EMPTY_JOURNAL, StaleRunError, type RunAnswer, type RunContext } from '../../../lib/protocol/index.js';
import { turns } from '../../support/manual-clock.js';
import {
  after,
  callOf,
  Deferred,
  exit,
  failed,
  FOREIGN,
  LOCAL,
  poll,
  read,
  resultsOf,
  stateOf,
  storeIsDown,
  text,
  World,
  type RunOptions,
} from './world.js';

const notHere = (): RunAnswer => ({ ...failed(Status.INCOMPATIBLE_STATE), stateMissing: true });

async function checkpoint(context: RunContext | undefined, journal: string, calls: Call[] = []): Promise<void> {
  const bytes = Buffer.from(journal);
  await context?.checkpoint({ journal: bytes, position: after(context.position, bytes), calls });
}

describe('runs that speak the extension', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
    world.define('child', (request) => exit(request.dispatchId));
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const contexts = () => world.contextsOf('f');
  const states = () => world.requestsOf('f').map(stateOf);

  it('know where the call stands', async () => {
    world.define('f', (request, { context }) =>
      resultsOf(request) ? exit() : poll({ state: 'abc', maxWait: 50, appendTo: context?.position }),
    );
    await world.dispatch('f');
    await world.advance(50);
    const [first, second] = contexts();
    expect(first).toMatchObject({ incarnation: 1, attempt: 1, stateOmitted: false, position: EMPTY_JOURNAL });
    expect(second).toMatchObject({ incarnation: 1, attempt: 1, stateOmitted: true });
    expect(second?.position).toEqual(after(EMPTY_JOURNAL, Buffer.from('abc')));
    expect(second?.fence).toBeGreaterThan(first?.fence ?? Infinity);
  });

  it('get no context where the endpoint does not speak it', async () => {
    world.define('f', () => exit());
    await world.run('f', { endpoint: FOREIGN });
    expect(contexts()).toEqual([undefined]);
  });

  it.each([
    [LOCAL, 1],
    [FOREIGN, 2],
  ])('at %s are resumed with %i results when the first of them is a failure', async (endpoint, results) => {
    const second = new Deferred<RunAnswer>();
    world.define('broken', () => failed(Status.PERMANENT_ERROR));
    world.define('child', () => second.promise);
    world.define('f', (request) => {
      const got = resultsOf(request);
      const calls = [callOf({ id: 1, function: 'broken' }), callOf({ id: 2, function: 'child' })];
      return got ? exit(String(got.length)) : poll({ calls, minResults: 2 });
    });
    const id = await world.dispatch('f', { endpoint });
    await turns(20);
    second.resolve(exit());
    expect(read((await world.scheduler.wait(id)).result.output)).toBe(String(results));
  });

  it('may wait for less than a second, where others may not', async () => {
    world.define('f', (request) => (resultsOf(request) ? exit() : poll({ maxWait: 1 })));
    const start = world.clock.now();
    const ids = [await world.dispatch('f'), await world.dispatch('f', { endpoint: FOREIGN })];
    await world.advance(5_000);
    const ends = await Promise.all(ids.map((id) => world.scheduler.get(id)));
    expect(ends.map((call) => (call?.finishedAt ?? 0) - start)).toEqual([1, 1_000]);
  });

  it('append to the journal, which is sent whole when the process has not the live instance', async () => {
    let rounds = 0;
    world.define('f', (_request, { context }) => {
      if (context?.stateOmitted && rounds === 2) return notHere();
      if (++rounds === 4) return exit();
      return poll({ state: `<${rounds}>`, maxWait: 10, appendTo: context?.position });
    });
    await world.dispatch('f', { input: text('in') });
    await world.advance(100);
    expect(states()).toEqual([undefined, undefined, undefined, '<1><2>', undefined]);
    expect(contexts().map((context) => context?.attempt)).toEqual([1, 1, 1, 1, 1]);
    expect(read(contexts()[3]?.input)).toBe('in');
    expect(contexts()[2]?.input).toBeUndefined();
  });

  it('get the whole state from another process', async () => {
    world.define('f', (request, { context }) =>
      resultsOf(request) ? exit() : poll({ state: 'abc', maxWait: 10, appendTo: context?.position }),
    );
    await world.dispatch('f', { input: text('in') });
    await world.idle();
    await world.restart();
    await world.advance(10);
    expect(states()).toEqual([undefined, 'abc']);
    expect(contexts()[1]).toMatchObject({ stateOmitted: false });
    expect(read(contexts()[1]?.input)).toBe('in');
  });

  it('are made again when a poll does not continue the journal', async () => {
    world.define('f', (request, { context }) => {
      if (resultsOf(request)) return exit();
      const position = world.requests.length === 1 ? { bytes: 7, digest: 7 } : context?.position;
      return poll({ maxWait: 10, appendTo: position });
    });
    const id = await world.dispatch('f');
    await world.advance(1_000);
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
  });

  describe('with a checkpoint', () => {
    it('go on once it is durable', async () => {
      const disk = new Deferred<void>();
      let durable = false;
      world.define('f', async (_request, { context }) => {
        world.beforeCommit = () => disk.promise;
        await checkpoint(context, 'step');
        durable = true;
        return exit();
      });
      const id = await world.dispatch('f');
      await turns(10);
      expect(durable).toBe(false);
      disk.resolve();
      await world.scheduler.wait(id);
      expect(durable).toBe(true);
    });

    it('make children', async () => {
      world.define('f', async (request, { context }) => {
        if (resultsOf(request)) return exit(read(resultsOf(request)?.[0]?.output));
        await checkpoint(context, 'step', [callOf({ id: 3, function: 'child' })]);
        return poll({ state: '', appendTo: after(EMPTY_JOURNAL, Buffer.from('step')) });
      });
      const outcome = await world.run('f');
      expect(read(outcome.result.output)).toBe(world.requestsOf('child')[0]?.dispatchId);
    });

    it('take in the results of the run', async () => {
      world.define('f', async (request, { context }) => {
        const results = resultsOf(request);
        if (!results) return poll({ calls: [callOf({ id: 1, function: 'child' })], appendTo: context?.position });
        if (results.length === 0) return exit();
        await checkpoint(context, 'got it');
        return failed(Status.TEMPORARY_ERROR);
      });
      const id = await world.dispatch('f');
      await world.advance(1_000);
      expect((await world.scheduler.wait(id)).state).toBe('succeeded');
    });

    it('are continued from their state when they fail afterwards', async () => {
      world.define('f', async (request, { context }) => {
        if (resultsOf(request)) return exit(stateOf(request));
        await checkpoint(context, 'step');
        return failed(Status.TEMPORARY_ERROR);
      });
      const id = await world.dispatch('f', { input: text('in') });
      await world.advance(1_000);
      expect(read((await world.scheduler.wait(id)).result.output)).toBe('step');
      expect(read(contexts()[1]?.input)).toBe('in');
    });

    it('are continued from their state when the process dies', async () => {
      world.define('never', () => new Promise(() => undefined));
      world.define('f', async (request, { context }) => {
        const results = resultsOf(request);
        if (!results) {
          const calls = [callOf({ id: 1, function: 'child' }), callOf({ id: 2, function: 'never' })];
          return poll({ state: 'a', calls, appendTo: context?.position });
        }
        if (stateOf(request) !== undefined) return exit(`${stateOf(request)} ${results.length}`);
        await checkpoint(context, 'b');
        return new Promise(() => undefined);
      });
      const id = await world.dispatch('f');
      await turns(10);
      await world.crash();
      expect(read((await world.scheduler.wait(id)).result.output)).toBe('ab 0');
    });

    it('cannot change a call that is not theirs any more', async () => {
      let stale: unknown;
      world.define('f', async (_request, { context, signal }) => {
        if (contexts().length > 1) return exit();
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        await checkpoint(context, 'late').catch((error: unknown) => (stale = error));
        return exit('late');
      });
      const id = await world.dispatch('f');
      await turns(10);
      await world.clock.advance(601_000, turns);
      expect(stale).toBeInstanceOf(StaleRunError);
      expect(read((await world.scheduler.wait(id)).result.output)).toBe('');
    });

    it('are given up and made again when it cannot be written', async () => {
      let aborted = false;
      world.define('f', async (_request, { context, signal }) => {
        if (contexts().length > 1) return exit('second');
        world.beforeCommit = storeIsDown;
        await checkpoint(context, 'lost', [callOf({ id: 1, function: 'child' })]).catch(() => undefined);
        aborted = signal.aborted;
        return exit('first');
      });
      const id = await world.dispatch('f');
      await turns(10);
      world.beforeCommit = undefined;
      await world.advance(1_000);
      expect(aborted).toBe(true);
      expect(read((await world.scheduler.wait(id)).result.output)).toBe('second');
      expect(contexts()[1]).toMatchObject({ position: EMPTY_JOURNAL, attempt: 1 });
    });
  });

  describe('whose live instance asks for a resume', () => {
    const suspended = ({ context }: RunOptions) => poll({ maxWait: 3_600_000, appendTo: context?.position });

    it('are resumed, with no results where there are none', async () => {
      world.define('f', (request, options) =>
        resultsOf(request) ? exit(String(resultsOf(request)?.length)) : suspended(options),
      );
      const id = await world.dispatch('f');
      await world.idle();
      contexts()[0]?.wake();
      expect(read((await world.scheduler.wait(id)).result.output)).toBe('0');
    });

    it('are resumed when it asked before its answer was committed', async () => {
      const disk = new Deferred<void>();
      world.define('f', (request, options) => {
        if (resultsOf(request)) return exit();
        world.beforeCommit = () => disk.promise;
        options.context?.wake();
        return suspended(options);
      });
      const id = await world.dispatch('f');
      await turns(10);
      contexts()[0]?.wake();
      await turns(10);
      expect(contexts()).toHaveLength(1);
      disk.resolve();
      await world.scheduler.wait(id);
    });

    it('are not when it is the instance of an earlier run', async () => {
      world.define('f', (_request, options) => suspended(options));
      await world.dispatch('f');
      await world.idle();
      contexts()[0]?.wake();
      await world.idle();
      contexts()[0]?.wake();
      await world.idle();
      expect(contexts()).toHaveLength(2);
    });

    it('does no harm when the call has finished', async () => {
      world.define('f', () => exit());
      await world.run('f');
      contexts()[0]?.wake();
      await world.idle();
      expect(contexts()).toHaveLength(1);
    });
  });
});
