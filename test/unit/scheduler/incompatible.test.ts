import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import { EMPTY_JOURNAL } from '../../../lib/protocol/index.js';
import { turns } from '../../support/manual-clock.js';
import {
  after,
  callOf,
  exit,
  failed,
  FOREIGN,
  inputOf,
  LOCAL,
  poll,
  read,
  resultsOf,
  stateOf,
  text,
  World,
} from './world.js';

describe('a call whose state fits no code that is here', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
    world.define('child', () => exit('c'));
    world.define('never', () => new Promise(() => undefined));
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const incarnations = () => world.contextsOf('f').map((context) => context?.incarnation);
  const incompatible = () => failed(Status.INCOMPATIBLE_STATE, 'another function is called');

  it('begins again from its first input while nothing is recorded of it', async () => {
    world.define('f', (request) => (world.requests.length < 3 ? incompatible() : exit(inputOf(request))));
    const id = await world.dispatch('f', { input: text('in') });
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('in');
    expect(incarnations()).toEqual([1, 2, 3]);
  });

  it('begins again with another set of children, the former ones cancelled', async () => {
    const answers = [
      poll({ maxWait: 1_000, calls: [callOf({ id: 1, function: 'never' })] }),
      incompatible(),
      poll({ calls: [callOf({ id: 1, function: 'child' })] }),
    ];
    world.define('f', () => answers.shift() ?? exit('done'));
    const id = await world.dispatch('f', { endpoint: FOREIGN });
    await turns(10);
    const [former] = world.requestsOf('never').map((request) => request.dispatchId);
    await world.clock.advance(5_000, turns);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('done');
    expect(await world.scheduler.get(former ?? '')).toMatchObject({ cancelling: true });
    expect(world.requestsOf('child')[0]?.dispatchId).not.toBe(former);
    expect(world.requestsOf('f').map((request) => request.directive.case)).toEqual([
      'input',
      'pollResult',
      'input',
      'pollResult',
    ]);
  });

  it.each([
    ['of ours has rounds in it', LOCAL, poll({ maxWait: 10, appendTo: EMPTY_JOURNAL })],
    ['has got a result', FOREIGN, poll({ calls: [callOf({ id: 1, function: 'child' })] })],
  ])('is parked where its state %s, and listed', async (_, endpoint, first) => {
    const answers = [first];
    world.define('f', () => answers.shift() ?? incompatible());
    const id = await world.dispatch('f', { endpoint });
    await world.advance(60_000);
    expect(await world.scheduler.get(id)).toMatchObject({ state: 'incompatible', waitsFor: 'version' });
    expect((await world.scheduler.list({ state: 'incompatible' })).calls.map((call) => call.id)).toEqual([id]);
    expect(world.requestsOf('f')).toHaveLength(2);
    expect(world.log.lines).toHaveLength(1);
    expect(world.log.lines[0]).toMatch(
      /parked as incompatible: it goes on when code that fits is here.*another function is called/,
    );
  });

  describe('and that is parked', () => {
    let id: string;
    let fits: boolean;
    beforeEach(async () => {
      fits = false;
      world.scheduler.setFunctions(LOCAL, [{ name: 'f', version: '1' }]);
      world.define('f', (request) => {
        if (!resultsOf(request)) return poll({ state: 'abc', maxWait: 10, appendTo: EMPTY_JOURNAL });
        return fits ? exit(stateOf(request)) : incompatible();
      });
      id = await world.dispatch('f');
      await world.advance(10);
      fits = true;
    });

    const ended = async () => {
      await world.idle();
      const call = await world.scheduler.get(id);
      return call?.state === 'succeeded' && read((await world.scheduler.wait(id)).result.output);
    };

    it('goes on with its state when it is retried', async () => {
      await world.scheduler.retry(id);
      expect(await ended()).toBe('abc');
      expect(incarnations()).toEqual([1, 1, 1]);
    });

    it('goes on when another version is registered, and not with the one it failed with', async () => {
      world.scheduler.setFunctions(LOCAL, [{ name: 'f', version: '1' }]);
      expect(await ended()).toBe(false);
      world.scheduler.setFunctions(LOCAL, [{ name: 'f', version: '2' }]);
      expect(await ended()).toBe('abc');
    });

    it('goes on in a new process that has the function', async () => {
      await world.restart();
      expect(await ended()).toBe(false);
      world.scheduler.setFunctions(LOCAL, [{ name: 'f', version: '1' }]);
      expect(await ended()).toBe('abc');
    });

    it('stays parked when it still fits nothing', async () => {
      fits = false;
      await world.scheduler.retry(id);
      expect(await ended()).toBe(false);
      expect((await world.scheduler.get(id))?.state).toBe('incompatible');
    });

    it('ends at once when it is cancelled', async () => {
      await world.scheduler.cancel(id);
      expect((await world.scheduler.wait(id)).state).toBe('cancelled');
    });
  });

  it('begins again whatever is recorded, where its function allows that', async () => {
    world.scheduler.setFunctions(LOCAL, [{ name: 'f', onIncompatible: 'restart' }]);
    const journal = Buffer.from('abc');
    world.define('f', async (request, { context }) => {
      if (resultsOf(request)) return incompatible();
      if (context?.incarnation === 2) return exit(inputOf(request));
      await context?.checkpoint({ journal, position: after(EMPTY_JOURNAL, journal), calls: [] });
      return poll({ state: '', maxWait: 10, appendTo: after(EMPTY_JOURNAL, journal) });
    });
    const id = await world.dispatch('f', { input: text('in') });
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('in');
  });
});
