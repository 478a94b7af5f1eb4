import { create } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import type { Call } from '../../../lib/gen/dispatch/sdk/v1/call_pb.js';
import type { RunAnswer } from '../../../lib/protocol/index.js';
import { turns } from '../../support/manual-clock.js';
import {
  callOf,
  Deferred,
  exit,
  exitWith,
  failed,
  FOREIGN,
  LOCAL,
  poll,
  read,
  resultsOf,
  stateOf,
  World,
} from './world.js';

/** A function that is suspended, whose children finish when the test says so. */
class Family {
  readonly children = new Map<string, Deferred<RunAnswer>>();
  /** What the parent answers, run by run; then it exits with the number of its runs. */
  readonly answers: RunAnswer[] = [];

  constructor(readonly world: World) {
    world.define('parent', () => this.answers.shift() ?? exit(String(world.requestsOf('parent').length)));
    world.define('child', (request) => {
      const child = this.children.get(String(this.children.size)) ?? new Deferred<RunAnswer>();
      this.children.set(request.dispatchId, child);
      return child.promise;
    });
  }

  /** Ends the children of these places (by creation), one after the other, each with its place as output. */
  async finish(...places: number[]): Promise<void> {
    for (const place of places) {
      [...this.children.values()][place]?.resolve(exit(String(place)));
      await turns(10);
    }
  }

  /** The outputs that each resume brought. */
  resumes(): (string | undefined)[][] {
    return this.world.requestsOf('parent').flatMap((request) => {
      const results = resultsOf(request);
      return results ? [results.map((result) => read(result.output) ?? result.error?.type)] : [];
    });
  }
}

const children = (count: number, first = 1): Call[] =>
  Array.from({ length: count }, (_, index) => callOf({ id: first + index, function: 'child' }));

describe.each([LOCAL, FOREIGN])('a poll of %s', (endpoint) => {
  let world: World;
  let family: Family;
  beforeEach(async () => {
    world = await World.started();
    family = new Family(world);
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const start = async () => {
    const id = await world.dispatch('parent', { endpoint });
    await turns(10);
    return id;
  };

  it('is resumed at min_results', async () => {
    family.answers.push(poll({ calls: children(4), minResults: 2 }));
    await start();
    await family.finish(2);
    expect(family.resumes()).toEqual([]);
    await family.finish(1);
    expect(family.resumes()).toEqual([['2', '1']]);
  });

  it('is resumed when all is there, where min_results asks for more', async () => {
    family.answers.push(poll({ calls: children(2), minResults: 5 }));
    await start();
    await family.finish(0, 1);
    expect(family.resumes()).toEqual([['0', '1']]);
  });

  it('takes one result where min_results is absent, and any number where it is out of range', async () => {
    family.answers.push(poll({ calls: children(3) }), poll({ minResults: -3 }), poll({ minResults: 1_000_000 }));
    await start();
    await family.finish(0, 1, 2);
    expect(family.resumes()).toEqual([['0'], ['1'], ['2']]);
  });

  it('gets at most max_results; the rest waits for the next poll', async () => {
    family.answers.push(poll({ calls: children(3), minResults: 3, maxResults: 2 }), poll({ minResults: 3 }));
    await start();
    await family.finish(2, 0, 1);
    expect(family.resumes()).toEqual([['2', '0'], ['1']]);
  });

  it('is resumed at max_wait with what is there', async () => {
    family.answers.push(poll({ calls: children(2), minResults: 2, maxWait: 5_000 }));
    await start();
    await family.finish(1);
    await world.clock.advance(4_999, turns);
    expect(family.resumes()).toEqual([]);
    await world.clock.advance(1, turns);
    expect(family.resumes()).toEqual([['1']]);
  });

  it('is a timer when nothing is outstanding', async () => {
    family.answers.push(poll({ maxWait: 86_400_000 * 60 }));
    const id = await start();
    await world.clock.advance(86_400_000 * 60 - 1, turns);
    expect(family.resumes()).toEqual([]);
    await world.clock.advance(1, turns);
    expect(family.resumes()).toEqual([[]]);
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
  });

  it('fails where nothing could ever resume it', async () => {
    family.answers.push(poll());
    const outcome = await world.scheduler.wait(await start());
    expect(outcome).toMatchObject({ state: 'failed', status: Status.INVALID_RESPONSE });
    expect(outcome.result.error?.message).toMatch(/max_wait/);
  });

  it('may ask for what an earlier poll has called', async () => {
    family.answers.push(poll({ calls: children(3) }), poll({ minResults: 2 }));
    await start();
    await family.finish(0, 1, 2);
    expect(family.resumes()).toEqual([['0'], ['1', '2']]);
  });

  it('gets its state back as it was', async () => {
    family.answers.push(poll({ state: 'first', maxWait: 1_000 }), poll({ state: 'second', maxWait: 1_000 }));
    await start();
    await world.clock.advance(2_000, turns);
    const states = world.requestsOf('parent').map(stateOf);
    expect(states.slice(1)).toEqual(endpoint === LOCAL ? [undefined, undefined] : ['first', 'second']);
  });

  it('gets results again until its next poll is committed, in the same order', async () => {
    family.answers.push(poll({ calls: children(3) }), failed(Status.TEMPORARY_ERROR), poll());
    await start();
    await family.finish(1);
    await family.finish(0);
    await world.clock.advance(1_000, turns);
    await family.finish(2);
    expect(family.resumes()).toEqual([['1'], ['1', '0'], ['2']]);
  });

  it('makes no second child for a number of its incarnation that it has used', async () => {
    const calls = children(2);
    family.answers.push(poll({ calls }), poll({ calls: [...calls, ...children(2)] }));
    await start();
    await family.finish(0, 1);
    expect(family.children.size).toBe(2);
    expect(family.resumes()).toEqual([['0'], ['1']]);
  });

  it('knows after a restart which children it has', async () => {
    family.answers.push(poll({ calls: children(2) }), poll({ calls: children(3) }));
    await start();
    await family.finish(0);
    await world.restart();
    await turns(10);
    // The second poll repeats the calls 1 and 2; the first of these has long finished.
    await family.finish(1, 2);
    await turns(10);
    expect(world.commits.flat().filter((mutation) => mutation.type === 'create')).toHaveLength(4);
  });

  it.each([
    ['a wrong function name', callOf({ id: 5, function: 'not a name' }), /call 5 of 'not a name'/],
    ['a wrong endpoint', callOf({ id: 6, function: 'child', endpoint: 'ftp://x' }), /ftp:\/\/x/],
    ['a function that the scheduler has not', callOf({ id: 7, function: 'x', endpoint: 'dispatch:' }), /'x'/],
  ])('fails as a whole with a call of %s', async (_, wrong, message) => {
    family.answers.push(poll({ calls: [...children(1), wrong] }));
    const outcome = await world.scheduler.wait(await start());
    expect(outcome).toMatchObject({ state: 'failed', status: Status.INVALID_RESPONSE });
    expect(outcome.result.error?.message).toMatch(message);
    expect(family.children.size).toBe(0);
  });
});

describe('results that are delivered', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const bytes = (size: number) =>
    create(AnySchema, { typeUrl: 'x/google.protobuf.BytesValue', value: new Uint8Array(size) });
  const sizes = () =>
    world.requestsOf('parent').flatMap((request) => {
      const results = resultsOf(request);
      return results ? [results.map((result) => result.output?.value.length ?? result.error?.type)] : [];
    });

  it.each([64 * 1024 * 1024, 0])(
    'stay below the limit of a message (with %i bytes of memory for them)',
    async (payloadMemory) => {
      await world.restart({ payloadMemory });
      world.define('child', () => exitWith({ output: bytes(6_000_000) }));
      world.define('parent', (request) => {
        const got = sizes().flat().length;
        if (got === 5) return exit();
        return poll({ minResults: 5, calls: resultsOf(request) ? [] : children(5) });
      });
      await world.run('parent');
      expect(sizes().map((results) => results.length)).toEqual([2, 2, 1]);
    },
  );

  it('say so where they can never fit', async () => {
    world.define('child', () => exitWith({ output: bytes(15_999_000) }));
    world.define('parent', (request) => (resultsOf(request) ? exit() : poll({ calls: children(1) })));
    await world.run('parent');
    expect(sizes()).toEqual([['InvalidResponseError']]);
  });

  it('are a thousand at most', async () => {
    world.define('child', () => exit('c'));
    world.define('parent', (request) => {
      if (sizes().flat().length === 1_500) return exit();
      return poll({ minResults: 1_500, calls: resultsOf(request) ? [] : children(1_500) });
    });
    await world.run('parent');
    expect(sizes().map((results) => results.length)).toEqual([1_000, 500]);
  });

  it('carry the number and the id of the call', async () => {
    world.define('child', () => exit('c'));
    world.define('parent', (request) => (resultsOf(request) ? exit() : poll({ calls: children(1, 42) })));
    await world.run('parent');
    const [result] = resultsOf(world.requests[2] ?? world.requests[0]!) ?? [];
    expect(result?.correlationId).toBe(42n);
    expect(result?.dispatchId).toBe(world.requestsOf('child')[0]?.dispatchId);
  });

  it('tell children whose they are', async () => {
    world.define('leaf', () => exit('c'));
    world.define('child', (request) => (resultsOf(request) ? exit() : poll({ calls: [callOf({ function: 'leaf' })] })));
    world.define('parent', (request) => (resultsOf(request) ? exit() : poll({ calls: children(1) })));
    const { id } = await world.run('parent');
    const [child] = world.requestsOf('child');
    const [leaf] = world.requestsOf('leaf');
    expect(child).toMatchObject({ parentDispatchId: id, rootDispatchId: id });
    expect(leaf).toMatchObject({ parentDispatchId: child?.dispatchId, rootDispatchId: id });
    expect(world.requestsOf('parent')[0]).toMatchObject({ parentDispatchId: '', rootDispatchId: id });
    expect(leaf?.dispatchId.slice(0, 12)).toBe(id.slice(0, 12));
  });
});
