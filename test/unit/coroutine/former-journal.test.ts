import { afterEach, expect, test } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createHash } from 'node:crypto';
import { journalIn, typedState } from '../../../lib/coroutine/state.js';
import { DispatchFunction } from '../../../lib/decorators/index.js';
import { RunRequestSchema, type RunRequest } from '../../../lib/gen/dispatch/sdk/v1/function_pb.js';
import { PollResultSchema } from '../../../lib/gen/dispatch/sdk/v1/poll_pb.js';
import { JournalSchema } from '../../../lib/gen/nestjs_dispatch/v1/journal_pb.js';
import type { FunctionRunner } from '../../../lib/protocol/index.js';
import { provide, World } from '../../support/durable-world.js';
import { ScriptedScheduler } from '../../support/scripted-scheduler.js';

const LONG = 'an input that is too long to stand for itself';

class Shop {
  readonly sold: string[] = [];

  @DispatchFunction({ name: 'sell' })
  async sell(what: string): Promise<number> {
    return this.sold.push(what);
  }

  @DispatchFunction({ name: 'day' })
  async day(): Promise<number[]> {
    const first = await Promise.all([this.sell('a'), this.sell(LONG)]);
    const then = await Promise.all([this.sell('a'), this.sell(LONG)]);
    return [...first, ...then, await this.sell('a')];
  }
}

/** Earlier versions kept the hash of every input, also of a short one. */
function withHashes(request: RunRequest): RunRequest {
  const { directive } = request;
  if (directive.case !== 'pollResult') return request;
  const journal = fromBinary(JournalSchema, journalIn(directive.value) ?? new Uint8Array());
  for (const { kind } of journal.rounds.flatMap(({ operations }) => operations)) {
    if (kind.case !== 'call' || kind.value.inputKey.length === 16) continue;
    const hash = createHash('sha256').update('google.protobuf.StringValue').update(kind.value.inputKey.subarray(1));
    kind.value.inputKey = hash.digest().subarray(0, 16);
  }
  const state = typedState(toBinary(JournalSchema, journal));
  const value = create(PollResultSchema, { ...directive.value, state });
  return create(RunRequestSchema, { ...request, directive: { case: 'pollResult', value } });
}

let world: World;
afterEach(() => world.close());

test.each([1, 2, 3])('a journal of an earlier version is replayed, and gone on with (after poll %i)', async (polls) => {
  const shop = new Shop();
  world = new World(provide(shop), { extended: false, runtime: { replay: 'always' } });
  const [runtime] = world.runtimes;
  let resumes = 0;
  const run: FunctionRunner['run'] = (request, options) => {
    const isFormer = request.directive.case === 'pollResult' && ++resumes === polls;
    return (runtime as FunctionRunner).run(isFormer ? withHashes(request) : request, options);
  };
  const scheduler = new ScriptedScheduler([{ run }], { extended: false, clock: world.clock });

  await expect(scheduler.execute('day')).resolves.toEqual([1, 2, 3, 4, 5]);
  expect(shop.sold).toEqual(['a', LONG, 'a', LONG, 'a']);
  expect(world.warnings()).toEqual([]);
});
