import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import type { RunAnswer } from '../../../lib/protocol/index.js';
import { InvalidArgumentError, NotFoundError } from '../../../lib/errors/index.js';
import { turns } from '../../support/manual-clock.js';
import {
  callOf,
  Deferred,
  exit,
  exitWith,
  failed,
  inputOf,
  LOCAL,
  poll,
  read,
  resultsOf,
  text,
  World,
} from './world.js';

const RETRIED = [
  Status.TIMEOUT,
  Status.THROTTLED,
  Status.TEMPORARY_ERROR,
  Status.DNS_ERROR,
  Status.TCP_ERROR,
  Status.TLS_ERROR,
  Status.HTTP_ERROR,
];
const FINAL = [
  Status.INVALID_ARGUMENT,
  Status.INVALID_RESPONSE,
  Status.PERMANENT_ERROR,
  Status.UNAUTHENTICATED,
  Status.PERMISSION_DENIED,
  Status.NOT_FOUND,
];

describe('a run that fails', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  it.each(RETRIED.map((status) => [Status[status], status] as const))('is made again with %s', async (_, status) => {
    world.define('f', () => (world.requests.length < 3 ? failed(status) : exit('done')));
    const id = await world.dispatch('f', { input: text('in') });
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('done');
    expect(world.requests.map(inputOf)).toEqual(['in', 'in', 'in']);
    expect(world.contexts.map((context) => context?.attempt)).toEqual([1, 2, 3]);
  });

  it.each(FINAL.map((status) => [Status[status], status] as const))('is final with %s', async (_, status) => {
    world.define('f', () => failed(status, 'because'));
    const outcome = await world.run('f');
    expect(outcome).toMatchObject({ state: 'failed', status });
    expect(outcome.result.error).toMatchObject({ type: 'Error', message: 'because' });
  });

  it('waits exponentially longer, up to a minute, with full jitter', async () => {
    const times: number[] = [];
    world.random = () => 0.5;
    world.define('f', () => {
      times.push(world.clock.now());
      return failed(Status.TEMPORARY_ERROR);
    });
    await world.dispatch('f');
    await world.advance(600_000);
    const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(waits.slice(0, 12)).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
  });

  it('is made again as its function says', async () => {
    world.random = () => 1 - 2 ** -53;
    const times: number[] = [];
    world.scheduler.setFunctions(LOCAL, [
      { name: 'f', retry: { maxAttempts: 4, initial: 10, max: 50, multiplier: 3 } },
    ]);
    world.define('f', () => {
      times.push(world.clock.now());
      return failed(Status.TCP_ERROR, 'refused');
    });
    const id = await world.dispatch('f');
    await world.advance(1_000);
    const outcome = await world.scheduler.wait(id);
    expect(outcome).toMatchObject({ state: 'failed', status: Status.TCP_ERROR });
    expect(outcome.result.error?.message).toBe('refused');
    expect(times.map((time) => time - (times[0] ?? 0))).toEqual([0, 10, 40, 90]);
  });

  it('is made again with the statuses that its function names, and with no others', async () => {
    world.scheduler.setFunctions(LOCAL, [
      { name: 'all', retry: { retryOn: [Status.PERMANENT_ERROR, Status.NOT_FOUND] } },
      { name: 'none', retry: { retryOn: [] } },
      { name: 'late', retry: { retryOn: [] }, runTimeout: 1_000 },
    ]);
    const ends = [failed(Status.PERMANENT_ERROR), failed(Status.NOT_FOUND), failed(Status.TEMPORARY_ERROR)];
    world.define('all', () => ends.shift() ?? exit());
    world.define('none', () => failed(Status.TEMPORARY_ERROR));
    world.define('late', () => new Promise(() => undefined));
    const ids = await Promise.all(['all', 'none', 'late'].map((name) => world.dispatch(name)));
    await world.clock.advance(5_000, () => turns(10));
    const outcomes = await Promise.all(ids.map((id) => world.scheduler.wait(id)));
    expect(outcomes.map(({ status }) => status)).toEqual([
      Status.TEMPORARY_ERROR,
      Status.TEMPORARY_ERROR,
      Status.TIMEOUT,
    ]);
    expect(world.requests.map((request) => request.function)).toEqual(['all', 'none', 'late', 'all', 'all']);
  });

  it('is not made again when it failed with what it was given, whatever its function says', async () => {
    world.scheduler.setFunctions(LOCAL, [{ name: 'f', retry: { retryOn: [Status.PERMANENT_ERROR] } }]);
    world.define('f', () => ({ ...failed(Status.PERMANENT_ERROR), final: true }));
    expect((await world.run('f')).status).toBe(Status.PERMANENT_ERROR);
    expect(world.requests).toHaveLength(1);
  });

  it('is made again no earlier than the endpoint has asked for', async () => {
    world.define('f', () =>
      world.requests.length === 1 ? { ...failed(Status.THROTTLED), retryAfter: 7_000 } : exit(),
    );
    const id = await world.dispatch('f');
    await world.advance(6_999);
    expect(world.requests).toHaveLength(1);
    await world.advance(1);
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
  });

  it('gives the call the last error when there is no time left for another', async () => {
    world.define('f', () => failed(Status.TEMPORARY_ERROR, 'no luck'));
    const id = await world.dispatch('f', { expiration: 10_000 });
    await world.advance(10_000);
    const outcome = await world.scheduler.wait(id);
    expect(outcome.status).toBe(Status.TEMPORARY_ERROR);
    expect(outcome.result.error?.message).toBe('no luck');
  });

  it('counts attempts since the last suspension', async () => {
    const answers = [failed(Status.TIMEOUT), poll({ maxWait: 10 }), failed(Status.TIMEOUT), failed(Status.TIMEOUT)];
    world.define('f', () => answers.shift() ?? exit());
    await world.dispatch('f');
    await world.advance(5_000);
    expect(world.contexts.map((context) => context?.attempt)).toEqual([1, 2, 1, 2, 3]);
  });

  it('goes on with its backoff after a restart', async () => {
    world.random = () => 0.999;
    world.define('f', () => failed(Status.TEMPORARY_ERROR));
    await world.dispatch('f');
    await world.idle();
    await world.restart();
    await world.advance(99);
    expect(world.requests).toHaveLength(1);
    await world.advance(1);
    expect(world.contexts.map((context) => context?.attempt)).toEqual([1, 2]);
  });

  it('has an error made for it where it has none', async () => {
    world.define('f', () => exitWith({}, Status.NOT_FOUND));
    expect((await world.run('f')).result.error).toMatchObject({
      type: 'NotFoundError',
      message: 'the function answered NOT_FOUND without an error',
    });
  });

  it('counts as one when its answer says nothing', async () => {
    world.define('f', () => ({ response: { ...exit().response, directive: { case: undefined } } }));
    expect((await world.run('f')).status).toBe(Status.INVALID_RESPONSE);
  });

  it('fails the call when it exits with an error and nothing else', async () => {
    world.define('f', () => exitWith({ error: { type: 'E', message: 'm' } }));
    expect(await world.run('f')).toMatchObject({ state: 'failed', status: Status.PERMANENT_ERROR });
  });

  it('keeps a partial result', async () => {
    world.define('f', () => exitWith({ output: text('half'), error: { type: 'E', message: 'm' } }));
    const { state, result } = await world.run('f');
    expect([state, read(result.output), result.error?.type]).toEqual(['succeeded', 'half', 'E']);
  });

  it('is told of in the log, once a minute for each function', async () => {
    world.define('f', () => failed(Status.TEMPORARY_ERROR, 'the bank does not answer'));
    world.define('g', () => failed(Status.TIMEOUT, 'slow'));
    const first = await world.dispatch('f');
    await world.dispatch('f');
    await world.dispatch('g');
    await world.advance(10);
    expect(world.log.lines).toEqual([
      expect.stringMatching(
        `warn call ${first} of f failed at attempt 1: TEMPORARY_ERROR, Error: the bank does not answer. It is made again in \\d+ ms.$`,
      ),
      expect.stringContaining('of g failed at attempt 1: TIMEOUT'),
    ]);
    await world.advance(59_000);
    expect(world.log.lines).toHaveLength(2);
    await world.advance(61_000);
    expect(world.log.lines.filter((line) => line.includes('of f '))).toHaveLength(2);
    expect(world.log.lines.join('\n')).toMatch(
      /of f failed at attempt \d+: .* \d+ more runs of it have failed since the line before\./,
    );
  });

  it('is made again when the transport breaks', async () => {
    world.define('f', () => {
      if (world.requests.length === 1) throw new Error('broken');
      return exit();
    });
    const id = await world.dispatch('f');
    await world.advance(1_000);
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
    expect(world.log.lines[0]).toMatch(/broken/);
  });
});

describe('a run that takes too long', () => {
  it('is aborted, counts as TIMEOUT, frees its slot, and its late answer is ignored', async () => {
    const world = await World.started({ runTimeout: 5_000, concurrency: 1 });
    const late = new Deferred<RunAnswer>();
    let signal: AbortSignal | undefined;
    world.define('f', (_request, options) => {
      if (world.requests.length > 1) return exit('second');
      signal = options.signal;
      return late.promise;
    });
    const id = await world.dispatch('f');
    await turns(10);
    await world.clock.advance(4_999, turns);
    expect(signal?.aborted).toBe(false);
    await world.clock.advance(1, turns);
    expect(signal?.aborted).toBe(true);
    expect(await world.scheduler.get(id)).toMatchObject({ state: 'pending', attempt: 1, waitsFor: 'time' });
    late.resolve(exit('late'));
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('second');
    await world.scheduler.stop();
  });

  it('may take ten minutes by default, and what its function says otherwise', async () => {
    const world = await World.started();
    world.scheduler.setFunctions(LOCAL, [{ name: 'short', runTimeout: 1_000, retry: { maxAttempts: 1 } }]);
    world.define('short', () => new Promise(() => undefined));
    world.define('long', () => new Promise(() => undefined));
    const [short, long] = [await world.dispatch('short'), await world.dispatch('long')];
    await turns(10);
    await world.clock.advance(1_000, turns);
    const { status, result } = await world.scheduler.wait(short);
    expect(status).toBe(Status.TIMEOUT);
    expect(result.error).toMatchObject({
      type: 'TimeoutError',
      message: expect.stringMatching(/runTimeout of 1000 ms/),
    });
    await world.clock.advance(598_999, turns);
    expect((await world.scheduler.get(long))?.state).toBe('running');
    await world.clock.advance(1, turns);
    expect((await world.scheduler.get(long))?.state).toBe('pending');
    await world.scheduler.stop({ grace: 0 });
  });
});

describe('retrying by hand', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  it('begins a failed root again, from its first input, as another incarnation', async () => {
    world.define('f', (request) =>
      world.requests.length < 2 ? failed(Status.PERMANENT_ERROR) : exit(inputOf(request)),
    );
    const { id } = await world.run('f', { input: text('in') });
    await world.scheduler.retry(id);
    const outcome = await world.scheduler.wait(id);
    expect([outcome.state, read(outcome.result.output)]).toEqual(['succeeded', 'in']);
    expect(world.contexts.map((context) => context?.incarnation)).toEqual([1, 2]);
  });

  it('begins a cancelled root again', async () => {
    world.define('f', () => exit());
    const id = await world.dispatch('f', { dueAt: world.clock.now() + 1_000 });
    await world.scheduler.cancel(id);
    await world.scheduler.retry(id);
    expect((await world.scheduler.wait(id)).state).toBe('succeeded');
  });

  it('refuses what cannot be retried, and says why', async () => {
    world.define('bad', () => failed(Status.PERMANENT_ERROR));
    world.define('good', (request) => (resultsOf(request) ? exit() : poll({ calls: [callOf({ function: 'bad' })] })));
    const later = await world.dispatch('good', { dueAt: world.clock.now() + 1_000 });
    const { id } = await world.run('good');
    const child = world.requestsOf('bad')[0]?.dispatchId ?? '';
    await expect(world.scheduler.retry(id)).rejects.toThrow(/succeeded/);
    await expect(world.scheduler.retry(child)).rejects.toThrow(/root/);
    await expect(world.scheduler.retry(later)).rejects.toThrow(/pending/);
    await expect(world.scheduler.retry(later)).rejects.toThrow(InvalidArgumentError);
    await expect(world.scheduler.retry('f'.repeat(32))).rejects.toThrow(NotFoundError);
  });

  it('refuses a root that has expired', async () => {
    world.define('f', () => failed(Status.PERMANENT_ERROR));
    const { id } = await world.run('f', { expiration: 1_000 });
    await world.advance(1_000);
    await expect(world.scheduler.retry(id)).rejects.toThrow(/expired/);
  });
});
