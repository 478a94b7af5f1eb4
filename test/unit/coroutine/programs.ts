import { expect } from '@jest/globals';
import { DispatchFunction } from '../../../lib/decorators/index.js';
import { PermanentError, TemporaryError } from '../../../lib/errors/index.js';
import { all, any, currentCall, gather, race, sleep, step, tailCall } from '../../../lib/coroutine/index.js';

/** I/O of a program's own, which takes a random number of turns of the event loop. */
let latency: () => number = () => 0;
export const setLatency = (turns: () => number): void => void (latency = turns);
export async function io<T>(value: T): Promise<T> {
  for (let turns = latency(); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
  return value;
}

/** Functions that others call. */
export class Leaf {
  attempts = new Map<string, number>();

  @DispatchFunction()
  async double(n: number): Promise<number> {
    return io(n * 2);
  }
  @DispatchFunction()
  async fail(message: string): Promise<never> {
    await io(undefined);
    throw new PermanentError(message);
  }
  @DispatchFunction()
  async failOnce(key: string): Promise<string> {
    const attempt = (this.attempts.get(key) ?? 0) + 1;
    this.attempts.set(key, attempt);
    if (attempt === 1) throw new TemporaryError('not yet');
    return `${key} passed`;
  }
  @DispatchFunction()
  async slow(n: number): Promise<number> {
    await sleep('1h');
    return n;
  }
  @DispatchFunction()
  async nothing(): Promise<void> {}
}

/** Programs whose result must be the same whatever is lost, repeated or dropped on the way. */
export class Programs {
  constructor(private readonly leaf: Leaf) {}

  @DispatchFunction()
  async sequential(): Promise<number[]> {
    const results: number[] = [];
    for (let n = 0; n < 12; n++) results.push(await this.leaf.double(n));
    return results;
  }

  @DispatchFunction()
  async sameCallManyTimes(): Promise<number> {
    let sum = 0;
    for (let n = 0; n < 6; n++) sum += await this.leaf.double(1);
    return sum;
  }

  @DispatchFunction()
  async gathered(): Promise<number[]> {
    return gather(Array.from({ length: 25 }, (_, n) => this.leaf.double(n)));
  }

  @DispatchFunction()
  async nestedGathers(): Promise<number[][]> {
    return gather([
      gather([this.leaf.double(1), this.leaf.double(2)]),
      all([this.leaf.double(3), this.leaf.double(4)]),
    ]);
  }

  @DispatchFunction()
  async promiseAll(): Promise<number[]> {
    return Promise.all([3, 1, 2].map((n) => this.leaf.double(n)));
  }

  @DispatchFunction()
  async settled(): Promise<string[]> {
    const results = await Promise.allSettled([this.leaf.double(1), this.leaf.fail('no'), this.leaf.double(2)]);
    return results.map((result) =>
      result.status === 'fulfilled' ? `ok ${result.value}` : `failed ${String(result.reason)}`,
    );
  }

  @DispatchFunction()
  async firstSuccess(): Promise<number[]> {
    return [
      await any([this.leaf.fail('a'), this.leaf.double(21)]),
      await Promise.any([this.leaf.slow(1), this.leaf.double(4)]),
    ];
  }

  @DispatchFunction()
  async allFail(): Promise<string[]> {
    try {
      await any([this.leaf.fail('a'), this.leaf.fail('b')]);
      return [];
    } catch (error) {
      return error instanceof AggregateError
        ? error.errors.map((one: Error) => one.message)
        : ['not an AggregateError'];
    }
  }

  @DispatchFunction()
  async raced(): Promise<string> {
    const winner = await race([this.leaf.slow(1).then(() => 'slow'), this.leaf.double(1).then(() => 'fast')]);
    return `${winner} ${await this.leaf.double(5)}`;
  }

  @DispatchFunction()
  async timeoutWins(): Promise<string> {
    const winner = await Promise.race([this.leaf.slow(1).then(() => 'slow'), sleep('10s').then(() => 'timeout')]);
    return `${winner} ${await this.leaf.double(5)}`;
  }

  @DispatchFunction()
  async caught(): Promise<string> {
    try {
      await this.leaf.fail('broken');
      return 'no error';
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message} ${await this.leaf.double(2)}`;
    }
  }

  @DispatchFunction()
  async retried(): Promise<string> {
    return this.leaf.failOnce(currentCall().id);
  }

  @DispatchFunction()
  async rawIoInBranches(): Promise<number[]> {
    return Promise.all([5, 6, 7, 8, 9].map(async (n) => this.leaf.double(await io(n))));
  }

  @DispatchFunction()
  async rawIoBetweenCalls(): Promise<number[]> {
    return Promise.all(
      [1, 2, 3].map(async (n) => {
        const first = await this.leaf.double(await io(n));
        const second = await this.leaf.double(await io(first + 100));
        return io(second);
      }),
    );
  }

  @DispatchFunction()
  async sleepsBesideCalls(): Promise<string[]> {
    const order: string[] = [];
    const note = (name: string) => () => void order.push(name);
    await Promise.all([
      sleep('3s').then(note('3s')),
      this.leaf.double(1).then(note('call')),
      sleep('1s').then(note('1s')),
      sleep('2s')
        .then(() => this.leaf.double(2))
        .then(note('call after 2s')),
      sleep('2h').then(note('2h')),
    ]);
    return order;
  }

  @DispatchFunction()
  async subSecondSleeps(): Promise<number> {
    for (let n = 0; n < 3; n++) await sleep(20);
    return this.leaf.double(3);
  }

  @DispatchFunction()
  async steps(): Promise<string[]> {
    const first = await step(() => io('one'));
    const second = await step(async () => `${first} two`);
    const called = await this.leaf.double(4);
    const third = await step(() => `${second} ${called}`);
    return [first, second, third];
  }

  @DispatchFunction()
  async stepsBesideCalls(): Promise<unknown[]> {
    return Promise.all([step(() => io('s')), this.leaf.double(1), step(() => 't'), this.leaf.double(2)]);
  }

  @DispatchFunction()
  async failingStep(): Promise<string> {
    try {
      return await step(() => Promise.reject(new PermanentError('the step broke')));
    } catch (error) {
      return `${(error as Error).message}, then ${await this.leaf.double(1)}`;
    }
  }

  @DispatchFunction()
  async randomInStep(): Promise<boolean> {
    const value = await step(() => Math.random());
    await this.leaf.double(1);
    const echoed = await this.leaf.double(value);
    return echoed === value * 2;
  }

  @DispatchFunction()
  async forgottenAwait(): Promise<string> {
    void this.leaf.double(1);
    void this.leaf.double(2);
    return 'done';
  }

  @DispatchFunction()
  async forgottenFailure(): Promise<string> {
    void this.leaf.fail('nobody sees this');
    await this.leaf.double(1);
    return 'done';
  }

  @DispatchFunction()
  async recursive(n: number): Promise<number> {
    return n <= 1 ? 1 : n * (await this.recursive(n - 1));
  }

  @DispatchFunction()
  async fibonacci(n: number): Promise<number> {
    if (n < 2) return n;
    const [a, b] = await gather([this.fibonacci(n - 1), this.fibonacci(n - 2)]);
    return a + b;
  }

  @DispatchFunction()
  async countDown(n: number): Promise<string> {
    if (n === 0) return 'landed';
    await this.leaf.double(n);
    return tailCall(this.countDown, n - 1);
  }

  @DispatchFunction()
  async manyArguments(): Promise<unknown> {
    return this.echo('a', { b: [1, null] }, undefined, new Date(5), new Map([['k', 1n]]));
  }
  @DispatchFunction()
  async echo(...args: unknown[]): Promise<unknown> {
    return args;
  }

  @DispatchFunction()
  async nothingAwaited(): Promise<number> {
    return io(7);
  }

  @DispatchFunction()
  async loopOfRaces(): Promise<number> {
    let wins = 0;
    for (let n = 0; n < 4; n++) {
      await race([this.leaf.double(n).then(() => (wins += 1)), sleep('1h')]);
    }
    return wins;
  }
}

/** The programs by name, with arguments, and what they result in when nothing goes wrong. */
export const expected: [name: string, args: unknown[], result: unknown][] = [
  ['sequential', [], [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]],
  ['sameCallManyTimes', [], 12],
  ['gathered', [], Array.from({ length: 25 }, (_, n) => n * 2)],
  [
    'nestedGathers',
    [],
    [
      [2, 4],
      [6, 8],
    ],
  ],
  ['promiseAll', [], [6, 2, 4]],
  ['settled', [], ['ok 2', 'failed PermanentError: no', 'ok 4']],
  ['firstSuccess', [], [42, 8]],
  ['allFail', [], ['a', 'b']],
  ['raced', [], 'fast 10'],
  ['timeoutWins', [], 'timeout 10'],
  ['caught', [], 'PermanentError: broken 4'],
  ['retried', [], expect.stringMatching(/ passed$/)],
  ['rawIoInBranches', [], [10, 12, 14, 16, 18]],
  ['rawIoBetweenCalls', [], [204, 208, 212]],
  ['sleepsBesideCalls', [], ['call', '1s', 'call after 2s', '3s', '2h']],
  ['subSecondSleeps', [], 6],
  ['steps', [], ['one', 'one two', 'one two 8']],
  ['stepsBesideCalls', [], ['s', 2, 't', 4]],
  ['failingStep', [], 'the step broke, then 2'],
  ['randomInStep', [], true],
  ['forgottenAwait', [], 'done'],
  ['forgottenFailure', [], 'done'],
  ['recursive', [6], 720],
  ['fibonacci', [7], 13],
  ['countDown', [4], 'landed'],
  ['manyArguments', [], ['a', { b: [1, null] }, undefined, new Date(5), new Map([['k', 1n]])]],
  ['nothingAwaited', [], 7],
  ['loopOfRaces', [], 4],
];
