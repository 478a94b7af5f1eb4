import { timestampMs } from '@bufbuild/protobuf/wkt';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import { EMPTY_JOURNAL } from '../../../lib/protocol/index.js';
import { turns } from '../../support/manual-clock.js';
import { callOf, exit, failed, FOREIGN, inputOf, poll, read, resultsOf, tailCall, text, World } from './world.js';

describe('a tail call', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  it('replaces the call, under its id and with its times', async () => {
    const start = world.clock.now();
    world.define('first', (request) => {
      if (!resultsOf(request)) return poll({ maxWait: 1_000, appendTo: EMPTY_JOURNAL });
      return tailCall({ function: 'second', input: text('more'), endpoint: FOREIGN, expiration: 5 });
    });
    world.define('second', (request) => exit(inputOf(request)));
    const id = await world.dispatch('first', { expiration: 60_000 });
    await world.advance(1_000);
    const outcome = await world.scheduler.wait(id);
    expect(read(outcome.result.output)).toBe('more');
    const [second] = world.requestsOf('second');
    expect(second?.dispatchId).toBe(id);
    expect(second?.creationTime && timestampMs(second.creationTime)).toBe(start);
    expect(second?.expirationTime && timestampMs(second.expirationTime)).toBe(start + 60_000);
    expect(await world.scheduler.get(id)).toMatchObject({ function: 'second', endpoint: FOREIGN, incarnation: 2 });
  });

  it('has its own input after a restart, no journal, and attempts of its own', async () => {
    world.define('first', (request) =>
      resultsOf(request)
        ? tailCall({ function: 'second', input: text('more') })
        : poll({ maxWait: 1, appendTo: EMPTY_JOURNAL }),
    );
    world.define('second', (request) =>
      world.requestsOf('second').length > 1 ? exit(inputOf(request)) : failed(Status.TIMEOUT),
    );
    const id = await world.dispatch('first', { input: text('in') });
    await world.advance(1);
    await world.restart();
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('more');
    expect(world.contextsOf('second')).toMatchObject([
      { attempt: 1, incarnation: 2, position: EMPTY_JOURNAL },
      { attempt: 2, incarnation: 2, position: EMPTY_JOURNAL },
    ]);
  });

  it('is made after a backoff when it comes with a status that is retried', async () => {
    const again = (input: string) => {
      const answer = tailCall({ function: 'second', input: text(input) });
      answer.response.status = Status.TEMPORARY_ERROR;
      return answer;
    };
    world.define('first', () => again('1'));
    world.define('second', (request) => (inputOf(request) === '1' ? again('2') : exit(inputOf(request))));
    const id = await world.dispatch('first');
    await world.idle();
    expect(world.requestsOf('second')).toHaveLength(0);
    await world.advance(60_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('2');
    expect(world.requestsOf('first')).toHaveLength(1);
    expect(world.contextsOf('second')).toMatchObject([
      { attempt: 2, incarnation: 2 },
      { attempt: 3, incarnation: 3 },
    ]);
  });

  it('is not made when it comes with a status that is final, or once the call may not be tried again', async () => {
    const answer = (status: Status) => {
      const asked = tailCall({ function: 'second' });
      asked.response.status = status;
      return asked;
    };
    world.define('second', () => exit('made'));
    world.define('final', () => answer(Status.INVALID_ARGUMENT));
    expect((await world.run('final')).status).toBe(Status.INVALID_ARGUMENT);
    world.define('expiring', () => answer(Status.THROTTLED));
    const id = await world.dispatch('expiring', { expiration: 1 });
    await world.advance(60_000);
    expect((await world.scheduler.wait(id)).result.error?.type).toMatch(/ThrottleError|TimeoutError/);
    expect(world.requestsOf('second')).toHaveLength(0);
  });

  it('cancels the children of what it replaces, whose results nobody sees any more', async () => {
    world.define('child', () => turns(20).then(() => exit('old')));
    world.define('first', (request) =>
      resultsOf(request)
        ? tailCall({ function: 'second' })
        : poll({ maxWait: 1_000, calls: [callOf({ id: 1, function: 'never' }), callOf({ id: 2, function: 'waits' })] }),
    );
    world.define('never', () => new Promise(() => undefined));
    world.define('waits', () => poll({ maxWait: 1e9 }));
    world.define('second', (request) =>
      resultsOf(request)
        ? exit(
            resultsOf(request)
              ?.map((result) => read(result.output))
              .join(),
          )
        : poll({ minResults: 1, calls: [callOf({ id: 1, function: 'child' })] }),
    );
    const id = await world.dispatch('first', { endpoint: FOREIGN });
    await turns(10);
    await world.clock.advance(1_000, turns);
    await turns(40);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('old');
    const ends = ['never', 'waits'].map((name) => world.requestsOf(name)[0]?.dispatchId ?? '');
    expect((await world.scheduler.get(ends[0] ?? ''))?.cancelling).toBe(true);
    expect((await world.scheduler.get(ends[1] ?? ''))?.state).toBe('cancelled');
  });

  it('fails the call where it cannot be made', async () => {
    world.define('first', () => tailCall({ function: 'not a name' }));
    expect(await world.run('first')).toMatchObject({ state: 'failed', status: Status.INVALID_RESPONSE });
  });

  it('is lost with its commit, and made again', async () => {
    let commits = 0;
    world.beforeCommit = () => {
      if (++commits === 2) throw new Error('the disk is full');
    };
    world.define('first', () => tailCall({ function: 'second' }));
    world.define('second', () => exit('done'));
    const id = await world.dispatch('first');
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('done');
    expect(world.requests.map((request) => request.function)).toEqual(['first', 'first', 'second']);
  });
});
