import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, Logger, type INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  any,
  currentCall,
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  gather,
  IncompatibleStateError,
  PermanentError,
  race,
  sleep,
  step,
  tailCall,
  TemporaryError,
  type DispatchModuleOptions,
} from '../../lib/index.js';

@Injectable()
class Leaves {
  private readonly failed = new Set<string>();

  @DispatchFunction()
  async double(n: number): Promise<number> {
    return n * 2;
  }
  @DispatchFunction()
  async fail(message: string): Promise<never> {
    throw new PermanentError(message);
  }
  @DispatchFunction({ retry: { initial: 1, max: 1 } })
  async flaky(value: string): Promise<string> {
    const { id, attempt } = currentCall();
    if (!this.failed.has(id)) {
      this.failed.add(id);
      throw new TemporaryError('not at first');
    }
    return `${value} at attempt ${attempt}`;
  }
}

@Injectable()
class Programs {
  constructor(
    private readonly leaves: Leaves,
    private readonly client: DispatchClient,
  ) {}

  @DispatchFunction()
  async sequence(): Promise<number[]> {
    const results: number[] = [];
    for (let n = 0; n < 10; n++) results.push(await this.leaves.double(n));
    return results;
  }
  @DispatchFunction()
  async combinators(): Promise<unknown> {
    const { leaves } = this;
    return [
      await gather([leaves.double(1), leaves.double(1), leaves.double(2)]),
      await any([leaves.fail('one'), leaves.double(3)]),
      await race([leaves.double(4), sleep('1h')]),
      (await Promise.allSettled([leaves.fail('two'), leaves.double(5)])).map(({ status }) => status),
    ];
  }
  @DispatchFunction()
  async errors(): Promise<string> {
    try {
      return String(await this.leaves.fail('caught'));
    } catch (error) {
      return `${(error as Error).name} ${(error as Error).message}, ${await this.leaves.flaky('then')}`;
    }
  }
  @DispatchFunction()
  async steps(): Promise<boolean> {
    const drawn = await step(() => Math.random());
    await sleep(1);
    const doubled = await this.leaves.double(drawn);
    return doubled === drawn * 2;
  }
  @DispatchFunction()
  async branches(): Promise<number[]> {
    const branch = async (n: number): Promise<number> => {
      await sleep(n);
      const once = await this.leaves.double(n);
      return this.leaves.double(once);
    };
    return Promise.all([branch(3), branch(1), branch(2)]);
  }
  @DispatchFunction()
  async tail(n: number): Promise<number> {
    const doubled = await this.leaves.double(n);
    return doubled > 20 ? doubled : tailCall(this.tail, doubled);
  }
  @DispatchFunction()
  async nested(): Promise<unknown> {
    const id = await this.client.dispatch(this.leaves.double, 21);
    await sleep(1);
    return [await this.client.wait(id), await this.sequence(), await this.tail(1)];
  }
}

let starts = 0;

/** Code as people write it until a replay tells them not to. */
@Injectable()
class Mistakes {
  isFixed = false;
  midnight = Infinity;

  constructor(private readonly leaves: Leaves) {}

  @DispatchFunction()
  async counter(): Promise<string> {
    starts++;
    if (starts > 1 && !this.isFixed) return this.leaves.flaky('another way');
    return `doubled to ${await this.leaves.double(1)}`;
  }
  @DispatchFunction()
  async clock(): Promise<string> {
    const isBefore = Date.now() < this.midnight;
    // Midnight comes as soon as that is decided.
    this.midnight = 0;
    if (this.isFixed || isBefore) {
      const [one, two] = [await this.leaves.double(1), await this.leaves.double(2)];
      return `${one + two} before midnight`;
    }
    await sleep('1d');
    return 'the day after';
  }

  @DispatchFunction()
  async catching(): Promise<string> {
    starts++;
    try {
      if (starts > 1 && !this.isFixed) return await this.leaves.flaky('another way');
      return `doubled to ${await this.leaves.double(3)}`;
    } catch (error) {
      return `caught ${(error as Error).name}`;
    }
  }
}

const apps: INestApplicationContext[] = [];
let warnings: string[];

beforeEach(() => {
  starts = 0;
  warnings = [];
  jest.spyOn(Logger.prototype, 'warn').mockImplementation((line: unknown) => void warnings.push(String(line)));
});

afterEach(async () => {
  jest.restoreAllMocks();
  for (const app of apps.splice(0)) await app.close();
});

async function start(options: DispatchModuleOptions): Promise<INestApplicationContext> {
  const app = await Test.createTestingModule({
    imports: [DispatchModule.forRoot(options)],
    providers: [Leaves, Programs, Mistakes],
  }).compile();
  apps.push(app);
  return app.init();
}

describe('an application that replays always', () => {
  it('gives the results that it gives without', async () => {
    const results = async (replay: 'live' | 'always'): Promise<unknown[]> => {
      const app = await start({ replay });
      const programs = app.get(DispatchClient).of(app.get(Programs));
      return Promise.all([
        programs.sequence().result(),
        programs.combinators().result(),
        programs.errors().result(),
        programs.steps().result(),
        programs.branches().result(),
        programs.tail(1).result(),
        programs.nested().result(),
      ]);
    };
    const sequence = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18];
    const expected = [
      sequence,
      [[2, 2, 4], 6, 8, ['rejected', 'fulfilled']],
      'PermanentError caught, then at attempt 2',
      true,
      [12, 4, 8],
      32,
      [42, sequence, 32],
    ];
    await expect(results('live')).resolves.toEqual(expected);
    await expect(results('always')).resolves.toEqual(expected);
    // Nothing else than what is meant to fail, in either of them.
    const flaky = expect.stringContaining('Leaves.flaky failed at attempt 1');
    expect(warnings).toEqual([flaky, flaky]);
  }, 60_000);

  it.each([
    ['a counter of its module', 'counter', 'doubled to 2', 'Leaves.flaky'],
    ['a counter, and catches all errors,', 'catching', 'doubled to 6', 'Leaves.flaky'],
  ] as const)(
    'sets a function aside that decides by %s, and goes on with it once it is mended',
    async (_what, name, result, instead) => {
      const app = await start({ replay: 'always' });
      const client = app.get(DispatchClient);
      const mistakes = app.get(Mistakes);
      const id = await client.of(mistakes)[name]().dispatch();
      await untilIncompatible(client, id);
      const { calls } = await client.list({ state: 'incompatible' });
      expect(calls).toEqual([expect.objectContaining({ id, function: `Mistakes.${name}`, waitsFor: 'version' })]);
      expect(warnings).toHaveLength(1);
      for (const text of [id, `Mistakes.${name}`, 'parked as incompatible', 'Leaves.double', instead, 'step()'])
        expect(warnings[0]).toContain(text);

      const waiting = client.wait(id);
      mistakes.isFixed = true;
      await client.retry(id);
      await expect(waiting).resolves.toBe(result);
      await expect(client.list({ state: 'incompatible' })).resolves.toMatchObject({ calls: [] });
    },
    60_000,
  );

  it('sets a function aside that decides by the clock', async () => {
    const app = await start({ replay: 'always' });
    const client = app.get(DispatchClient);
    const mistakes = app.get(Mistakes);
    const id = await client.dispatch(mistakes.clock);
    await untilIncompatible(client, id);
    expect(warnings[0]).toContain('in round 1 it had made a call of Leaves.double');
    mistakes.isFixed = true;
    await client.retry(id);
    await expect(client.wait(id)).resolves.toBe('6 before midnight');
  }, 60_000);

  it('lets a parked call be cancelled', async () => {
    const app = await start({ replay: 'always' });
    const client = app.get(DispatchClient);
    const id = await client.of(app.get(Mistakes)).counter().dispatch();
    await untilIncompatible(client, id);
    await expect(client.cancel(id)).resolves.toBe(true);
    await expect(client.wait(id)).rejects.not.toBeInstanceOf(IncompatibleStateError);
    await expect(client.get(id)).resolves.toMatchObject({ state: 'cancelled' });
  }, 60_000);
});

async function untilIncompatible(client: DispatchClient, id: string): Promise<void> {
  for (;;) {
    const call = await client.get(id);
    if (call?.state === 'incompatible') return;
    if (call?.finishedAt !== undefined) throw new Error(`the call has finished: ${call.state}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
