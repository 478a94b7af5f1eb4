import { afterEach, describe, expect, jest, test } from '@jest/globals';
import {
  call,
  currentCall,
  gather,
  race,
  sleep,
  step,
  tailCall,
  type CurrentCall,
} from '../../../lib/coroutine/index.js';
import { DispatchFunction } from '../../../lib/decorators/index.js';
import {
  InvalidArgumentError,
  InvalidResponseError,
  PermanentError,
  registerErrorType,
  Status,
  TemporaryError,
} from '../../../lib/errors/index.js';
import type { Checkpoint, FunctionRunner } from '../../../lib/protocol/index.js';
import { provide, World, type WorldOptions } from '../../support/durable-world.js';
import { turns } from '../../support/manual-clock.js';
import { IdleClock, ScriptedScheduler, type Finished } from '../../support/scripted-scheduler.js';

const open: World[] = [];
afterEach(() => open.splice(0).forEach((world) => world.close()));

function world(providers: object[], options: WorldOptions = {}): World {
  const made = new World(provide(...providers), options);
  open.push(made);
  return made;
}

const always: WorldOptions = { runtime: { replay: 'always' } };

/** A promise that a test settles. */
class Deferred<T> {
  resolve!: (value: T) => void;
  readonly promise = new Promise<T>((resolve) => (this.resolve = resolve));
}

class InsufficientFunds extends Error {
  override readonly name = 'InsufficientFunds';
  constructor(
    message: string,
    readonly missing = 0,
  ) {
    super(message, { cause: new TypeError('the account is empty') });
  }
}
registerErrorType(InsufficientFunds, Status.PERMANENT_ERROR);

class Bank {
  charges = 0;
  @DispatchFunction()
  async charge(amount: number): Promise<string> {
    this.charges++;
    if (amount > 100) throw new InsufficientFunds(`no ${amount} there`, amount - 100);
    return `charged ${amount}`;
  }
  @DispatchFunction()
  async refund(amount: number): Promise<string> {
    return `refunded ${amount}`;
  }
  @DispatchFunction()
  async echo(value: unknown): Promise<unknown> {
    return value;
  }
}

describe('an error that crosses a call', () => {
  class Shop {
    constructor(private readonly bank: Bank) {}
    @DispatchFunction()
    async buy(): Promise<unknown[]> {
      try {
        await this.bank.charge(150);
        return [];
      } catch (error) {
        const seen = error as InsufficientFunds;
        const { cause, stack = '' } = seen;
        return [
          seen instanceof InsufficientFunds,
          seen.message,
          seen.missing,
          cause instanceof TypeError,
          /Bank\.charge/.test(stack),
          stack.includes('runtime.test'),
        ];
      }
    }
    @DispatchFunction()
    async passOn(): Promise<void> {
      await this.bank.charge(150);
    }
    @DispatchFunction()
    async throwOwn(): Promise<void> {
      if (currentCall().attempt < 3) throw new TemporaryError(`attempt ${currentCall().attempt}`);
    }
  }

  test.each([{}, always, { extended: false }])(
    'keeps class, message, cause, own properties and remote stack (%j)',
    async (options) => {
      const bank = new Bank();
      const seen = await world([bank, new Shop(bank)], options).execute('Shop.buy');
      expect(seen).toEqual([true, 'no 150 there', 50, true, true, true]);
    },
  );

  test('is final for the function that it ends: a replay would only repeat it', async () => {
    const bank = new Bank();
    const { scheduler } = world([bank, new Shop(bank)], always);
    const { status } = await scheduler.finish('Shop.passOn');
    expect(status).toBe(Status.PERMANENT_ERROR);
    expect(bank.charges).toBe(1);
  });

  test('is tried again when it is the function’s own and passing', async () => {
    const bank = new Bank();
    const { scheduler } = world([bank, new Shop(bank)]);
    expect((await scheduler.finish('Shop.throwOwn')).status).toBe(Status.OK);
    expect(scheduler.statuses).toEqual([Status.TEMPORARY_ERROR, Status.TEMPORARY_ERROR, Status.OK]);
  });
});

describe('a replay of code that changed', () => {
  let changed = false;
  class Orders {
    now = 1;
    constructor(private readonly bank: Bank) {}

    @DispatchFunction()
    async removed(): Promise<unknown> {
      if (!changed) await this.bank.charge(1);
      changed = true;
      await this.bank.refund(1);
      return 'done';
    }
    @DispatchFunction()
    async renamed(): Promise<unknown> {
      const made = changed ? this.bank.refund(1) : this.bank.charge(1);
      changed = true;
      return made;
    }
    @DispatchFunction()
    async endsEarly(): Promise<unknown> {
      if (changed) return 'early';
      changed = true;
      return this.bank.charge(1);
    }
    @DispatchFunction()
    async clockInInput(): Promise<unknown> {
      const first = await this.bank.charge(this.now++);
      const second = await this.bank.echo(first);
      return second;
    }
    @DispatchFunction()
    async clockInManyInputs(): Promise<unknown> {
      return gather([this.bank.charge(this.now++), this.bank.charge(this.now++)]);
    }
    @DispatchFunction()
    async reordered(): Promise<unknown> {
      const calls = changed
        ? [this.bank.refund(1), this.bank.charge(1)].reverse()
        : [this.bank.charge(1), this.bank.refund(1)];
      changed = true;
      return Promise.all(calls);
    }
  }
  function orders(): World {
    changed = false;
    const bank = new Bank();
    return world([bank, new Orders(bank)], always);
  }

  test.each([
    ['removed', /had made a call of Bank\.charge \(operation 1\), where it now waits for a call of Bank\.refund/],
    ['renamed', /had made a call of Bank\.charge \(operation 1\), where it now makes a call of Bank\.refund/],
    ['endsEarly', /had made a call of Bank\.charge \(operation 1\), where it now ends/],
    ['clockInManyInputs', /The functions are the same, their inputs are not/],
  ])('%s: fails with an error that says what differs and the ways out', async (name, message) => {
    const { status, result } = await orders().scheduler.finish(`Orders.${name}`);
    expect(status).toBe(Status.INCOMPATIBLE_STATE);
    expect(result.error?.type).toBe('IncompatibleStateError');
    expect(result.error?.message).toMatch(message);
    expect(result.error?.message).toMatch(/step\(\).*version.*tailCall/);
  });

  test('takes another order of the same calls', async () => {
    await expect(orders().execute('Orders.reordered')).resolves.toEqual(['charged 1', 'refunded 1']);
  });

  test('takes another input alone, with the recorded result and one warning', async () => {
    const made = orders();
    await expect(made.execute('Orders.clockInInput')).resolves.toBe('charged 1');
    expect(made.warnings().filter((line) => line.includes('another input'))).not.toHaveLength(0);
  });
});

describe('a version', () => {
  class Versioned {
    constructor(private readonly bank: Bank) {}
    @DispatchFunction({ name: 'versioned', version: '2' })
    async run(): Promise<unknown> {
      return this.bank.charge(1);
    }
  }
  class Unversioned {
    constructor(private readonly bank: Bank) {}
    @DispatchFunction({ name: 'versioned' })
    async run(): Promise<unknown> {
      return this.bank.charge(1);
    }
  }

  type Version = new (bank: Bank) => object;

  /** What two processes with other code do to one call: the first suspends it, the second goes on with it. */
  async function moved(first: Version, second: Version, extended: boolean): Promise<Finished> {
    const bank = new Bank();
    const begins = new World(provide(bank, new first(bank)), { extended });
    const goesOn = new World(provide(bank, new second(bank)), { extended });
    open.push(begins, goesOn);
    const [before, after] = [begins.runtimes[0], goesOn.runtimes[0]];
    if (before === undefined || after === undefined) throw new Error('no runtimes');
    const run: FunctionRunner['run'] = (request, options) =>
      (request.directive.case === 'input' ? before : after).run(request, options);
    const { clock } = begins;
    return new ScriptedScheduler([{ run }], { extended, clock }).finish('versioned');
  }

  test.each([true, false])('goes on with its own journal (extended: %p)', async (extended) => {
    const { status } = await moved(Versioned, Versioned, extended);
    expect(status).toBe(Status.OK);
  });

  test.each([
    [true, 'version .2. of the function began it, and this is a version without a name'],
    [false, 'version .2. of the function began it, and this is a version without a name'],
  ])('refuses the journal of another one (extended: %p)', async (extended, message) => {
    const { status, result } = await moved(Versioned, Unversioned, extended);
    expect(status).toBe(Status.INCOMPATIBLE_STATE);
    expect(result.error?.message).toMatch(new RegExp(message));
    const back = await moved(Unversioned, Versioned, extended);
    expect(back.status).toBe(Status.INCOMPATIBLE_STATE);
  });
});

describe('a replay whose own I/O is faster than it was', () => {
  const later = async (count: number): Promise<void> => {
    for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
  };

  /** While it waits for a request of its own, the loser of a race makes another call. */
  class Hurried {
    constructor(
      private readonly bank: Bank,
      private readonly latency: { branch: number; own: number },
    ) {}
    @DispatchFunction()
    async returns(): Promise<string> {
      return this.raced();
    }
    @DispatchFunction()
    async tailCalls(): Promise<string> {
      return tailCall(this.end, await this.raced());
    }
    @DispatchFunction()
    async end(value: string): Promise<string> {
      return value;
    }
    private async raced(): Promise<string> {
      const charged = this.bank.charge(1);
      const branch = Promise.all([charged, later(this.latency.branch)]).then(() => this.bank.refund(1));
      const winner = await race([charged, branch]);
      await later(this.latency.own);
      return winner;
    }
  }

  test.each([
    ['returns', 20],
    ['tailCalls', 20],
    ['returns', 0],
  ])('finds what a branch does after the function has ended (it %s, after %i turns)', async (name, turnsOfIo) => {
    const clock = new IdleClock();
    const [recording, replaying] = [
      { branch: turnsOfIo, own: 10_000 },
      { branch: 40, own: 0 },
    ].map((latency) => {
      const bank = new Bank();
      return world([bank, new Hurried(bank, latency)], { runtime: { clock } }).runtimes[0];
    });
    if (recording === undefined || replaying === undefined) throw new Error('no runtimes');
    let polls = 0;
    const run: FunctionRunner['run'] = async (request, options) => {
      if (!request.function.startsWith('Hurried.')) return recording.run(request, options);
      const answer = await (polls < 2 ? recording : replaying).run(request, options);
      if (answer.response.directive.case === 'poll') polls += 1;
      return answer;
    };
    const scheduler = new ScriptedScheduler([{ run }], { extended: true, clock });
    const outcome = await scheduler.execute(`Hurried.${name}`);
    expect({ outcome, polls }).toEqual({ outcome: 'charged 1', polls: 2 });
  });
});

describe('a call that is made while the result of a step is being written', () => {
  /** A step and a request of its own race; the request is back first, though the step had ended. */
  class Racer {
    constructor(
      private readonly bank: Bank,
      private readonly request: Promise<string>,
    ) {}
    @DispatchFunction()
    async run(): Promise<unknown[]> {
      const winner = await race([step(() => 'step'), this.request]);
      return [winner, await this.bank.echo(winner)];
    }
  }

  test.each([true, false])('comes before that result in a replay, too (extended: %p)', async (extended) => {
    const recorded = new Deferred<string>();
    const replayed = new Deferred<string>();
    const clock = new IdleClock();
    const [recording, replaying] = [recorded, replayed].map(({ promise }) => {
      const bank = new Bank();
      return world([bank, new Racer(bank, promise)], { extended, runtime: { clock } }).runtimes[0];
    });
    if (recording === undefined || replaying === undefined) throw new Error('no runtimes');
    const isBack = async (request: Deferred<string>): Promise<void> => {
      request.resolve('request');
      await turns();
    };
    let polls = 0;
    const run: FunctionRunner['run'] = async (request, { context } = {}) => {
      if (request.function !== 'Racer.run') return recording.run(request, { context });
      if (polls === (extended ? 1 : 2)) {
        const answer = replaying.run(request, { context });
        if (context?.stateOmitted === true) return answer;
        await turns();
        replayed.resolve('request');
        return answer;
      }
      const slow = context && {
        ...context,
        checkpoint: (checkpoint: Checkpoint) => isBack(recorded).then(() => context.checkpoint(checkpoint)),
      };
      const answer = await recording.run(request, { context: slow });
      polls += 1;
      if (!extended) await isBack(recorded);
      return answer;
    };
    const outcome = await new ScriptedScheduler([{ run }], { extended, clock }).execute('Racer.run');
    expect(outcome).toEqual(['request', 'request']);
  });
});

describe('calls that a function makes at once', () => {
  class Crowd {
    constructor(
      private readonly bank: Bank,
      private readonly io: Promise<string>,
    ) {}
    @DispatchFunction()
    async run(): Promise<unknown[]> {
      const first = await this.bank.echo('first');
      const late = this.io.then((back) => this.bank.echo(`${String(first)}, then ${back}`));
      const all = await gather(Array.from({ length: 10 }, (_, n) => this.bank.echo(n)));
      return [...all, await late];
    }
  }
  const results = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 'first, then I/O'];

  /** Runs a crowd whose I/O comes back while the calls are being recorded. */
  function crowd(runtime: WorldOptions['runtime'], before: (checkpoint: Checkpoint) => void) {
    const io = new Deferred<string>();
    const bank = new Bank();
    const clock = new IdleClock();
    const [runner] = world([bank, new Crowd(bank, io.promise)], { runtime: { ...runtime, clock } }).runtimes;
    if (runner === undefined) throw new Error('no runtime');
    const run: FunctionRunner['run'] = (request, { context } = {}) => {
      const watched = context && {
        ...context,
        checkpoint: async (checkpoint: Checkpoint) => {
          before(checkpoint);
          io.resolve('I/O');
          await turns();
          return context.checkpoint(checkpoint);
        },
      };
      return runner.run(request, { context: watched });
    };
    return new ScriptedScheduler([{ run }], { extended: true, clock });
  }

  test.each(['live', 'always'] as const)('are recorded in parts, each of which starts at once (%s)', async (replay) => {
    const parts: number[] = [];
    const scheduler = crowd({ replay, callsPerCommit: 4 }, ({ calls }) => parts.push(calls.length));
    expect(await scheduler.execute('Crowd.run')).toEqual(results);
    expect(parts).toEqual([4, 4]); // what is left suspends the function
  });

  test('go on after the part that is recorded where the process is lost', async () => {
    let parts = 0;
    const scheduler = crowd({ callsPerCommit: 3 }, () => {
      if (++parts === 2) throw new Error('the process is lost');
    });
    expect(await scheduler.execute('Crowd.run')).toEqual(results);
    expect(scheduler.finished.size).toBe(1 + 12);
    expect(scheduler.runs).toBeGreaterThan(12);
  });
});

describe('currentCall()', () => {
  let seen: CurrentCall[] = [];
  class Curious {
    @DispatchFunction()
    async outer(): Promise<void> {
      seen.push(currentCall());
      await this.inner();
      seen.push(currentCall());
    }
    @DispatchFunction()
    async inner(): Promise<void> {
      seen.push(await step(() => currentCall()));
    }
    @DispatchFunction()
    async notInAStep(): Promise<string> {
      return step(() => currentCall().function);
    }
  }

  test('knows ids, attempt, times and signal, the same before and after a pause', async () => {
    seen = [];
    await world([new Curious()]).scheduler.finish('Curious.outer');
    const [before, after] = [seen[0], seen.at(-1)];
    expect(before).toBe(after);
    expect(before).toMatchObject({
      id: 'root-1',
      rootId: 'root-1',
      parentId: undefined,
      function: 'Curious.outer',
      attempt: 1,
    });
    expect(before?.creationTime).toBeInstanceOf(Date);
    expect(before?.signal.aborted).toBe(false);
  });

  test('works in a step', async () => {
    await expect(world([new Curious()]).execute('Curious.notInAStep')).resolves.toBe('Curious.notInAStep');
  });

  test('throws outside of durable functions', () => {
    expect(() => currentCall()).toThrow(InvalidArgumentError);
  });
});

describe('values that cannot be recorded', () => {
  class Odd {
    constructor(private readonly bank: Bank) {}
    @DispatchFunction()
    async badArgument(): Promise<unknown> {
      return this.bank.echo({ items: [1, { callback: () => 1 }] });
    }
    @DispatchFunction()
    async badResult(): Promise<unknown> {
      return { handler: () => 1 };
    }
    @DispatchFunction()
    async badStep(): Promise<unknown> {
      return step(() => ({ socket: Symbol('s') }));
    }
  }
  const odd = (): World => {
    const bank = new Bank();
    return world([bank, new Odd(bank)]);
  };

  test('an argument: the call rejects with the path', async () => {
    const { status, result } = await odd().scheduler.finish('Odd.badArgument');
    expect(status).toBe(Status.INVALID_ARGUMENT);
    expect(result.error?.message).toContain('items[1].callback');
  });
  test('a result: the call fails with INVALID_RESPONSE and says what', async () => {
    const { status, result } = await odd().scheduler.finish('Odd.badResult');
    expect(status).toBe(Status.INVALID_RESPONSE);
    expect(result.error?.type).toBe(InvalidResponseError.name);
    expect(result.error?.message).toMatch(/Odd\.badResult returned what cannot be recorded: .*handler/);
  });
  test('a step’s result', async () => {
    const { result } = await odd().scheduler.finish('Odd.badStep');
    expect(result.error?.message).toContain('socket');
  });
});

describe('steps', () => {
  class Stepper {
    ran = 0;
    keys: string[] = [];
    constructor(private readonly bank: Bank) {}
    @DispatchFunction()
    async once(): Promise<number> {
      await step(({ key }) => {
        this.ran++;
        this.keys.push(key);
      });
      await this.bank.charge(1);
      await this.bank.charge(2);
      return this.ran;
    }
    @DispatchFunction()
    async passing(): Promise<string> {
      return step(({ key }) => {
        this.keys.push(key);
        if (++this.ran < 3) throw new TemporaryError('again');
        return 'passed';
      });
    }
    @DispatchFunction({ retry: { maxAttempts: 2 } })
    async limited(): Promise<string> {
      return step(() => {
        this.ran++;
        throw new TemporaryError('never');
      });
    }
    @DispatchFunction()
    async local(): Promise<string> {
      return step(() => this.bank.charge(7));
    }
  }
  const stepper = (options?: WorldOptions): { stepper: Stepper; bank: Bank; world: World } => {
    const bank = new Bank();
    const made = new Stepper(bank);
    return { stepper: made, bank, world: world([bank, made], options) };
  };

  test.each([{}, always, { extended: false, ...always }])(
    'run once, however often the function is replayed (%j)',
    async (options) => {
      const made = stepper(options);
      await expect(made.world.execute('Stepper.once')).resolves.toBe(1);
    },
  );
  test('are tried again with the same key while their failure passes', async () => {
    const made = stepper();
    await expect(made.world.execute('Stepper.passing')).resolves.toBe('passed');
    expect(made.stepper.keys).toHaveLength(3);
    expect(new Set(made.stepper.keys).size).toBe(1);
  });
  test('fail for good after the attempts of the function’s policy', async () => {
    const made = stepper();
    await expect(made.world.execute('Stepper.limited')).rejects.toThrow('never');
    expect(made.stepper.ran).toBe(2);
  });
  test('run decorated methods in place: a step is local code', async () => {
    const made = stepper();
    await expect(made.world.execute('Stepper.local')).resolves.toBe('charged 7');
    expect(made.world.scheduler.finished.size).toBe(1);
  });
});

describe('code outside of durable functions', () => {
  test('runs methods and combinators in place', async () => {
    const bank = new Bank();
    provide(bank);
    await expect(gather([bank.charge(1), bank.charge(2)])).resolves.toEqual(['charged 1', 'charged 2']);
    await expect(race([bank.charge(3)])).resolves.toBe('charged 3');
    await expect(step(({ key }) => typeof key)).resolves.toBe('string');
    await expect(sleep(1)).resolves.toBeUndefined();
    await expect(tailCall(bank.charge, 4)).resolves.toBe('charged 4');
    await expect(call({ function: 'x' })).rejects.toThrow(/durable function only/);
  });
  test.each(['soon', '', undefined, -1, Number.NaN, Infinity])('sleep(%p) is refused', async (duration) => {
    await expect(sleep(duration as string)).rejects.toThrow(InvalidArgumentError);
  });

  test('that a function left behind is warned of, and runs in place', async () => {
    const bank = new Bank();
    let later: Promise<string> | undefined;
    class Starter {
      @DispatchFunction()
      async run(): Promise<string> {
        later = new Promise((resolve) => setTimeout(() => resolve(bank.charge(5)), 20));
        return 'done';
      }
    }
    const made = world([bank, new Starter()]);
    await expect(made.execute('Starter.run')).resolves.toBe('done');
    await expect(later).resolves.toBe('charged 5');
    expect(made.warnings()).toEqual([expect.stringMatching(/Starter\.run has ended, but code that it started/)]);
  });
});

describe('inheritance', () => {
  class Base {
    @DispatchFunction()
    async greet(name: string): Promise<string> {
      return `hello ${name}`;
    }
  }
  class Loud extends Base {
    @DispatchFunction()
    override async greet(name: string): Promise<string> {
      return `${(await super.greet(name)).toUpperCase()}!`;
    }
  }

  test('super.method() is a part of the overriding method, not a call', async () => {
    const { scheduler } = world([new Loud()]);
    await expect(scheduler.execute('Loud.greet', 'ann')).resolves.toBe('HELLO ANN!');
    expect(scheduler.polls).toBe(0);
  });

  test('a method of an object that nobody registered is refused in a durable function', async () => {
    const stray = new Base();
    class Caller {
      @DispatchFunction()
      async run(): Promise<string> {
        return stray.greet('bob');
      }
    }
    const { scheduler } = world([new Caller()]);
    await expect(scheduler.execute('Caller.run')).rejects.toThrow(/no module provides/);
  });
});

describe('a function of a thousand steps', () => {
  class Long {
    begun = 0;
    constructor(private readonly bank: Bank) {}
    @DispatchFunction()
    async run(steps: number): Promise<number> {
      this.begun++;
      for (let n = 0; n < steps; n++) await this.bank.echo(n);
      return steps;
    }
  }

  test('is not run again for any of them while its instance lives, and writes each once', async () => {
    const bank = new Bank();
    const long = new Long(bank);
    const { scheduler } = world([bank, long]);
    await scheduler.execute('Long.run', 1000);
    expect(long.begun).toBe(1);
    expect(scheduler.polls).toBe(1000);
  });

  test('goes on by one replay where its instance is lost', async () => {
    const bank = new Bank();
    const long = new Long(bank);
    const { scheduler } = world([bank, long], { faults: { lose: 0.003 }, seed: 5 });
    await expect(scheduler.execute('Long.run', 1000)).resolves.toBe(1000);
    expect(long.begun).toBeGreaterThan(1);
    expect(long.begun).toBeLessThan(20);
  });
});

describe('a journal that grows', () => {
  class Hoarder {
    constructor(private readonly bank: Bank) {}
    @DispatchFunction()
    async run(chunks: number): Promise<string> {
      for (let n = 0; n < chunks; n++) await this.bank.echo('x'.repeat(1024 * 1024) + n);
      return 'done';
    }
  }
  const hoard = (): World => {
    const bank = new Bank();
    return world([bank, new Hoarder(bank)]);
  };

  test('over 4 MB warns once, and names tailCall', async () => {
    const made = hoard();
    await made.execute('Hoarder.run', 6);
    expect(made.warnings()).toEqual([expect.stringMatching(/has recorded .* bytes.*tailCall\(\)/)]);
  });
  test('over 12 MB fails the call, and names tailCall', async () => {
    await expect(hoard().execute('Hoarder.run', 14)).rejects.toThrow(PermanentError);
    await expect(hoard().execute('Hoarder.run', 14)).rejects.toThrow(/tailCall\(\)/);
  });
});

describe('forgotten awaits', () => {
  class Forgetful {
    constructor(private readonly bank: Bank) {}
    @DispatchFunction()
    async run(): Promise<string> {
      void this.bank.charge(1);
      return 'done';
    }
  }
  test('are made all the same, and warned of once, by name', async () => {
    const bank = new Bank();
    const made = world([bank, new Forgetful(bank)]);
    await expect(made.execute('Forgetful.run')).resolves.toBe('done');
    expect(bank.charges).toBe(1);
    expect(made.warnings()).toEqual([
      expect.stringMatching(/Forgetful\.run ended without awaiting its calls of Bank\.charge/),
    ]);
  });
});

test('the losers of a race are not waited for', async () => {
  const started = jest.fn();
  class Racer {
    @DispatchFunction()
    async slow(): Promise<string> {
      started();
      await sleep('30d');
      return 'slow';
    }
    @DispatchFunction()
    async fast(): Promise<string> {
      return 'fast';
    }
    @DispatchFunction()
    async run(): Promise<string> {
      return race([this.slow(), this.fast()]);
    }
  }
  const made = world([new Racer()]);
  const begun = made.clock.now();
  await expect(made.execute('Racer.run')).resolves.toBe('fast');
  expect(made.clock.now() - begun).toBeLessThan(1000);
  expect(made.warnings()).toEqual([]);
});

test('a function that has slept for long is let go of, and goes on by replay', async () => {
  let begun = 0;
  class Sleeper {
    @DispatchFunction()
    async sleeps(): Promise<string> {
      begun++;
      await sleep('1d');
      return 'awake';
    }
    @DispatchFunction()
    async wakes(): Promise<[number, number]> {
      await sleep('59s');
      const before = release();
      await sleep('2s');
      return [before, release()];
    }
    @DispatchFunction()
    async run(): Promise<unknown> {
      return gather([this.sleeps(), this.wakes()]);
    }
  }
  const made = world([new Sleeper()]);
  const release = (): number => {
    for (const runtime of made.runtimes) runtime.releaseIdle(60_000);
    return made.runtimes.reduce((sum, { liveInstances }) => sum + liveInstances, 0);
  };
  await expect(made.execute('Sleeper.run')).resolves.toEqual(['awake', [3, 1]]);
  expect(begun).toBe(2);
});

test('of the functions that sleep for long a hundred are kept, and all of them wake', async () => {
  class Sleepers {
    @DispatchFunction()
    async sleeps(n: number): Promise<number> {
      await sleep('1d');
      return n;
    }
    @DispatchFunction()
    async counts(): Promise<number> {
      await sleep('1s');
      return made.runtimes.reduce((sum, { liveInstances }) => sum + liveInstances, 0);
    }
    @DispatchFunction()
    async run(): Promise<[number[], number]> {
      const [sum, ...slept] = await gather([this.counts(), ...Array.from({ length: 200 }, (_, n) => this.sleeps(n))]);
      return [slept, sum];
    }
  }
  const made = world([new Sleepers()]);
  const [slept, live] = (await made.execute('Sleepers.run')) as [number[], number];
  expect(slept).toEqual(Array.from({ length: 200 }, (_, n) => n));
  // With the one that counts, and the one that waits for all of them.
  expect(live).toBe(102);
  expect(made.scheduler.released).toBe(100);
});
