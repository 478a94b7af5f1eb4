import { describe, expect, it } from '@jest/globals';
import { Status } from '../../../lib/errors/index.js';
import type { Call, CallResult } from '../../../lib/gen/dispatch/sdk/v1/call_pb.js';
import type { RunRequest } from '../../../lib/gen/dispatch/sdk/v1/function_pb.js';
import type { RunAnswer } from '../../../lib/protocol/index.js';
import { StoreError, type DispatchId } from '../../../lib/scheduler/index.js';
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
  tailCall,
  text,
  World,
  type RunOptions,
} from './world.js';
import { seeded } from '../../support/seeded.js';

const SEEDS = 30;
const STEPS = 60;

/** What a function does follows from its input alone: how many calls it makes in which round, and how it ends. */
interface Plan {
  /** Inputs of the children, by round. */
  readonly rounds: readonly (readonly string[])[];
  readonly fails: boolean;
  readonly tailCalls: boolean;
  readonly checkpoints: boolean;
  readonly minResults: number;
  readonly maxWait: number | undefined;
}

function planOf(input: string): Plan {
  const [seed = 0, depth = 0] = input.split('/').map(Number);
  const random = seeded(seed);
  const childOf = (index: number) => `${Math.floor(random() * 1e9) + index}/${depth - 1}`;
  const round = () => Array.from({ length: Math.floor(random() * 4) }, (_, index) => childOf(index));
  const rounds = depth === 0 ? [] : [round(), round()].filter((calls) => calls.length > 0);
  return {
    rounds,
    fails: rounds.length === 0 && random() < 0.2,
    tailCalls: depth > 0 && random() < 0.15,
    checkpoints: random() < 0.5,
    minResults: Math.floor(random() * 4),
    maxWait: random() < 0.3 ? 1_000 : undefined,
  };
}

/** Each call counts for one, with all that it has called, so that a result that is lost or comes twice shows. */
function sizeOf(input: string): number {
  const plan = planOf(input);
  if (plan.tailCalls) return sizeOf(successor(input));
  return 1 + plan.rounds.flat().reduce((sum, child) => sum + (fails(child) ? 1 : sizeOf(child)), 0);
}

function fails(input: string): boolean {
  const plan = planOf(input);
  return plan.tailCalls ? fails(successor(input)) : plan.fails;
}

function successor(input: string): string {
  const [seed = 0, depth = 0] = input.split('/').map(Number);
  return `${seed + 17}/${depth - 1}`;
}

/** What a function knows: its input, the rounds it has made, and the results it has got. Text, so that it can be appended to. */
interface Memory {
  readonly input: string;
  readonly made: number;
  readonly got: ReadonlyMap<number, number>;
}

function remember(journal: string): Memory {
  const got = new Map<number, number>();
  let [input, made] = ['', 0];
  for (const line of journal.split('\n')) {
    const [kind, a = '', b = ''] = line.split(' ');
    if (kind === 'input') input = a;
    if (kind === 'round') made += 1;
    if (kind === 'got') got.set(Number(a), Number(b));
  }
  return { input, made, got };
}

class Fleet {
  readonly world = new World({ runTimeout: 30_000, concurrency: 5, startsPerTurn: 7 });
  readonly random: () => number;
  /** Journals of live instances, which a process keeps. */
  live = new Map<DispatchId, string>();
  storeIsDown = false;
  faults = true;

  constructor(seed: number) {
    this.random = seeded(seed);
    this.world.random = seeded(seed + 1);
    this.world.define('node', (request, options) => this.run(request, options));
    this.world.beforeCommit = async () => {
      await turns(Math.floor(this.random() * 4));
      if (this.storeIsDown || (this.faults && this.random() < 0.05)) throw new StoreError('the disk is full');
    };
  }

  chance(probability: number): boolean {
    return this.faults && this.random() < probability;
  }

  private async run(request: RunRequest, { context, signal }: RunOptions): Promise<RunAnswer> {
    const extended = context !== undefined;
    const answer = this.work(request, extended, context?.stateOmitted ?? false, context?.position.bytes ?? 0);
    if (answer === 'state missing') return { response: failed(Status.INCOMPATIBLE_STATE).response, stateMissing: true };
    await turns(Math.floor(this.random() * 3));
    if (this.chance(0.03)) return new Promise(() => undefined);
    if (this.chance(0.1)) return failed(Status.TEMPORARY_ERROR);
    if (signal.aborted) return failed(Status.TIMEOUT);
    const { journal, added, calls, plan, ended } = answer;
    if (ended) return ended;
    let position = context?.position;
    let state = extended ? added : journal;
    let toMake = calls;
    if (context && position && plan.checkpoints && calls.length > 0) {
      const bytes = Buffer.from(added);
      position = after(position, bytes);
      await context.checkpoint({ journal: bytes, position, calls });
      [state, toMake] = ['', []];
      if (this.chance(0.1)) return failed(Status.TEMPORARY_ERROR);
    }
    if (extended) this.live.set(request.dispatchId, journal);
    const { minResults, maxWait } = plan;
    return poll({ state, calls: toMake, minResults, maxWait, appendTo: position });
  }

  private work(request: RunRequest, extended: boolean, omitted: boolean, committed: number) {
    const id = request.dispatchId;
    let before = stateOf(request) ?? '';
    if (omitted) {
      const held = this.live.get(id);
      if (held?.length !== committed || this.chance(0.2)) return 'state missing';
      before = held;
    }
    this.live.delete(id);
    let added = before === '' ? `input ${inputOf(request)}\n` : '';
    const { got } = remember(before);
    for (const result of resultsOf(request) ?? []) added += received(result, got);
    let memory = remember(before + added);
    const plan = planOf(memory.input);
    const calls: Call[] = [];
    const outstanding = () => plan.rounds.slice(0, memory.made).flat().length - memory.got.size;
    if (outstanding() === 0 && memory.made < plan.rounds.length && !plan.tailCalls) {
      const base = plan.rounds.slice(0, memory.made).flat().length;
      plan.rounds[memory.made]?.forEach((input, index) => {
        const endpoint = (base + index) % 3 === 2 ? FOREIGN : LOCAL;
        calls.push(callOf({ id: base + index + 1, function: 'node', input: text(input), endpoint }));
      });
      added += 'round\n';
      memory = remember(before + added);
    }
    const ended = outstanding() > 0 ? undefined : endOf(plan, memory);
    return { journal: before + added, added, calls, plan, ended };
  }
}

function received(result: CallResult, got: ReadonlyMap<number, number>): string {
  const number = Number(result.correlationId);
  if (got.has(number)) return '';
  return `got ${number} ${result.error ? 1 : read(result.output)}\n`;
}

function endOf(plan: Plan, { input, got }: Memory): RunAnswer {
  if (plan.tailCalls) return tailCall({ function: 'node', input: text(successor(input)) });
  if (plan.fails) return failed(Status.PERMANENT_ERROR, 'as planned');
  return exit(String([...got.values()].reduce((sum, size) => sum + size, 1)));
}

async function live(seed: number): Promise<void> {
  const fleet = new Fleet(seed);
  const { world, random } = fleet;
  await world.scheduler.start();
  const acknowledged = new Map<DispatchId, string>();
  const refused: DispatchId[] = [];
  let processes = 0;
  for (let step = 0; step < STEPS; step++) {
    const choice = random();
    if (choice < 0.35) {
      const input = `${Math.floor(random() * 1e9)}/${Math.floor(random() * 4)}`;
      const id = Buffer.from(`root ${seed} ${step}`.padEnd(16)).toString('hex');
      const process = processes;
      const call = { endpoint: random() < 0.7 ? LOCAL : FOREIGN, function: 'node', input: text(input), id };
      world.scheduler.dispatch([call]).then(
        () => process === processes && acknowledged.set(id, input),
        () => process === processes && refused.push(id),
      );
    } else if (choice < 0.75) await world.clock.advance(Math.floor(random() * 5_000), () => turns(2));
    else if (choice < 0.8) fleet.storeIsDown = !fleet.storeIsDown;
    else if (choice < 0.85) {
      processes += 1;
      fleet.live = new Map();
      fleet.storeIsDown = false;
      world.kill();
      // Counting crashes is a commit as well, and may fail as any.
      for (let started = false; !started;) {
        world.scheduler = world.create();
        started = await world.scheduler.start().then(
          () => true,
          () => false,
        );
      }
    } else await turns(Math.floor(random() * 8));
  }
  fleet.faults = false;
  fleet.storeIsDown = false;
  const ends = [...acknowledged].map(async ([id, input]) => {
    const { state, result } = await world.scheduler.wait(id);
    if (fails(input)) return expect([id, state]).toEqual([id, 'failed']);
    expect([id, read(result.output) ?? result.error?.message]).toEqual([id, String(sizeOf(input))]);
  });
  let done = false;
  const ended = Promise.all(ends).then(() => (done = true));
  for (let hour = 0; hour < 24 && !done; hour++) await world.clock.advance(3_600_000, () => turns(3));
  if (!done) {
    const { calls } = await world.scheduler.list({ state: ['pending', 'suspended'] });
    throw new Error(`seed ${seed} does not come to an end: ${JSON.stringify(calls.slice(0, 3), null, 1)}`);
  }
  await ended;
  for (const id of refused) expect([id, await world.scheduler.get(id)]).toEqual([id, undefined]);
  expectRecordedOnce(world);
  await world.scheduler.stop({ grace: 0 });
}

function expectRecordedOnce(world: World): void {
  const [created, finished] = [new Set<DispatchId>(), new Set<DispatchId>()];
  for (const mutation of world.commits.flat()) {
    if (mutation.type === 'create') {
      expect(created).not.toContain(mutation.header.id);
      created.add(mutation.header.id);
    } else if (mutation.type === 'finish') {
      expect(finished).not.toContain(mutation.id);
      finished.add(mutation.id);
    }
  }
}

describe('random trees of calls with failures, lost answers, failed commits and crashes', () => {
  it.each(Array.from({ length: SEEDS }, (_, index) => index))('come out right (seed %i)', live);
});
