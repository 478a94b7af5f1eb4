import { create, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import { PollSchema } from '../../../lib/gen/dispatch/sdk/v1/poll_pb.js';
import { RunResponseSchema } from '../../../lib/gen/dispatch/sdk/v1/function_pb.js';
import { ArgumentsSchema } from '../../../lib/gen/nestjs_dispatch/v1/values_pb.js';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { callOf, exit, exitWith, failed, FOREIGN, LOCAL, poll, read, resultsOf, text, World } from './world.js';

const OURS = create(AnySchema, {
  typeUrl: `type.googleapis.com/${ArgumentsSchema.typeName}`,
  value: toBinary(ArgumentsSchema, create(ArgumentsSchema)),
});

describe('an endpoint that speaks nothing but the protocol', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.started();
  });
  afterEach(() => world.scheduler.stop({ grace: 0 }));

  const withValue = () => {
    const answer = failed(Status.PERMANENT_ERROR, 'no');
    if (answer.response.directive.case === 'exit')
      answer.response.directive.value.result!.error!.value = new Uint8Array([1]);
    return answer;
  };
  const joinsOne = (child: string, endpoint: string) =>
    world.define('parent', (request) => {
      const [result] = resultsOf(request) ?? [];
      if (result) return exit(`${result.error?.type} ${result.error?.value.length}`);
      return poll({ calls: [callOf({ function: child, endpoint, input: text('x') })] });
    });

  it.each([
    ['keeps it from', FOREIGN, 'Error 0'],
    ['leaves it to others', LOCAL, 'Error 1'],
  ])('does not understand the value of an error: the scheduler %s', async (_, endpoint, expected) => {
    world.define('child', withValue);
    joinsOne('child', LOCAL);
    expect(read((await world.run('parent', { endpoint })).result.output)).toBe(expected);
  });

  it('gets the value of an error back that it made itself, after a restart as well', async () => {
    world.define('child', withValue);
    world.define('parent', (request) => {
      const [result] = resultsOf(request) ?? [];
      if (!result)
        return poll({ minResults: 2, calls: [callOf({ function: 'child' }), callOf({ id: 1, function: 'late' })] });
      return exit(`${result.error?.type} ${result.error?.value.length}`);
    });
    let isLate = true;
    world.define('late', () => (isLate ? failed(Status.TEMPORARY_ERROR) : exit('late')));
    const id = await world.dispatch('parent', { endpoint: FOREIGN });
    await world.idle();
    await world.restart();
    isLate = false;
    await world.advance(60_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('Error 1');
  });

  it('gets an error for a result of a type of ours', async () => {
    world.define('child', () => exitWith({ output: OURS }));
    joinsOne('child', LOCAL);
    expect(read((await world.run('parent', { endpoint: FOREIGN })).result.output)).toBe('InvalidResponseError 0');
    expect(read((await world.run('parent', { endpoint: LOCAL })).result.output)).toBe('undefined undefined');
  });

  it('is not called with an input of a type of ours', async () => {
    world.define('f', () => exit());
    const { status, result } = await world.run('f', { endpoint: FOREIGN, input: OURS });
    expect(status).toBe(Status.INVALID_RESPONSE);
    expect(result.error?.message).toMatch(/nestjs_dispatch\.v1\.Arguments/);
    expect(world.requests).toHaveLength(0);
    expect((await world.run('f', { endpoint: LOCAL, input: OURS })).status).toBe(Status.OK);
  });

  it('gets a typed state back as it was, after a restart as well', async () => {
    const state = create(AnySchema, { typeUrl: 'x/y', value: new Uint8Array([1, 2]) });
    world.define('f', (request) => {
      if (request.directive.case === 'pollResult') {
        const given = request.directive.value.state;
        return exit(
          given.case === 'typedCoroutineState' ? `${given.value.typeUrl} ${given.value.value.join()}` : 'none',
        );
      }
      const value = create(PollSchema, {
        state: { case: 'typedCoroutineState', value: state },
        maxWait: durationFromMs(1_000),
      });
      return { response: create(RunResponseSchema, { status: Status.OK, directive: { case: 'poll', value } }) };
    });
    const id = await world.dispatch('f', { endpoint: FOREIGN });
    await world.idle();
    await world.restart();
    await world.advance(1_000);
    expect(read((await world.scheduler.wait(id)).result.output)).toBe('x/y 1,2');
  });

  it('has its calls without an endpoint made to itself', async () => {
    world.define('child', () => exit('c'));
    joinsOne('child', '');
    await world.run('parent', { endpoint: FOREIGN });
    expect((await world.scheduler.list({ function: 'child' })).calls[0]?.endpoint).toBe(FOREIGN);
  });
});
