import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import { callOf, exit, failed, joins, read, text, World } from './world.js';

describe('a scheduler', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  it('runs a call and hands out its result', async () => {
    world.define('hello', (request) =>
      exit(`hello ${request.directive.case === 'input' ? read(request.directive.value) : ''}`),
    );
    const outcome = await world.run('hello', { input: text('world') });
    expect(outcome.state).toBe('succeeded');
    expect(outcome.status).toBe(Status.OK);
    expect(read(outcome.result.output)).toBe('hello world');
  });

  it('hands out the result of a call that finished long ago', async () => {
    world.define('hello', () => exit('hello'));
    const { id } = await world.run('hello');
    await world.restart();
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('hello');
  });

  it('makes the calls of a poll and resumes with their results', async () => {
    world.define('child', (request) => exit(`${request.function}!`));
    world.define(
      'parent',
      joins(() => [callOf({ id: 1, function: 'child' }), callOf({ id: 2, function: 'child' })]),
    );
    expect(read((await world.run('parent')).result.output)).toBe('child!,child!');
  });

  it('fails a call with a final status', async () => {
    world.define('wrong', () => failed(Status.PERMANENT_ERROR, 'no way'));
    const outcome = await world.run('wrong');
    expect(outcome).toMatchObject({ state: 'failed', status: Status.PERMANENT_ERROR });
    expect(outcome.result.error?.message).toBe('no way');
  });

  it('makes a run again that failed for a while', async () => {
    let runs = 0;
    world.define('flaky', () => (++runs < 3 ? failed(Status.TEMPORARY_ERROR) : exit('done')));
    const id = await world.dispatch('flaky');
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('done');
    expect(runs).toBe(3);
  });
});
