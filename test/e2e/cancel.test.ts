import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, type INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  CancelledError,
  currentCall,
  DispatchClient,
  DispatchFunction,
  DispatchModule,
  gather,
  NotFoundError,
  sleep,
  type DispatchModuleOptions,
} from '../../lib/index.js';

@Injectable()
class Tree {
  readonly log: string[] = [];
  isCleaningDurably = false;

  @DispatchFunction()
  async root(): Promise<unknown> {
    try {
      return await gather([this.branch('left'), this.branch('right'), this.queued(1), this.queued(2)]);
    } catch (error) {
      this.log.push(`root caught ${(error as Error).name}`);
      throw error;
    } finally {
      this.log.push('root ends');
    }
  }
  @DispatchFunction()
  async branch(name: string): Promise<unknown> {
    try {
      return await Promise.all([this.working(name), this.sleeping(name)]);
    } finally {
      this.log.push(`branch ${name} ends`);
    }
  }
  /** Runs until its signal fires. */
  @DispatchFunction()
  async working(name: string): Promise<string> {
    const { signal } = currentCall();
    this.log.push(`working ${name}`);
    try {
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
      return 'never';
    } finally {
      this.log.push(`working ${name} ends with ${(signal.reason as Error).name}`);
    }
  }
  @DispatchFunction()
  async sleeping(name: string): Promise<string> {
    this.log.push(`sleeping ${name}`);
    try {
      await sleep('1h');
      return 'never';
    } finally {
      const cleaned = this.isCleaningDurably ? ` ${await this.clean(name)}` : '';
      this.log.push(`sleeping ${name} ends${cleaned}`);
    }
  }
  /** One at a time: the second never starts. */
  @DispatchFunction({ concurrency: 1 })
  async queued(n: number): Promise<void> {
    this.log.push(`queued ${n}`);
    const { signal } = currentCall();
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  }
  @DispatchFunction()
  async clean(name: string): Promise<string> {
    return `with ${name} cleaned`;
  }
}

let app: INestApplicationContext | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

async function start(options: DispatchModuleOptions): Promise<{ client: DispatchClient; tree: Tree }> {
  app = await Test.createTestingModule({ imports: [DispatchModule.forRoot(options)], providers: [Tree] }).compile();
  await app.init();
  return { client: app.get(DispatchClient), tree: app.get(Tree) };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** A tree of calls of which every one waits: for its signal, for the time, for a turn, for results. */
async function grow(client: DispatchClient, tree: Tree): Promise<string> {
  const id = await client.dispatch(tree.root);
  const started = ['working left', 'working right', 'sleeping left', 'sleeping right', 'queued 1'];
  await until(() => started.every((line) => tree.log.includes(line)));
  await until(async () => {
    const { calls } = await client.list({ rootId: id, function: 'Tree.sleeping' });
    return calls.length === 2 && calls.every(({ waitsFor }) => waitsFor === 'time');
  });
  return id;
}

describe.each(['live', 'always'] as const)('a tree of calls that is cancelled (replay: %s)', (replay) => {
  it.each([false, true])(
    'ends everywhere, after the code that cleans up (with calls: %s)',
    async (durably) => {
      const { client, tree } = await start({ replay });
      tree.isCleaningDurably = durably;
      const id = await grow(client, tree);
      tree.log.length = 0;
      const waiting = client.wait(id);
      const outcome = expect(waiting).rejects.toBeInstanceOf(CancelledError);
      await expect(client.cancel(id)).resolves.toBe(true);
      await outcome;
      await until(async () => {
        const { calls } = await client.list({ rootId: id });
        return calls.every(({ finishedAt }) => finishedAt !== undefined);
      });

      const { calls } = await client.list({ rootId: id });
      const outsideOfCleaning = calls.filter(({ function: name }) => name !== 'Tree.clean');
      expect(outsideOfCleaning).toHaveLength(9);
      expect(outsideOfCleaning.map(({ state }) => state)).toEqual(outsideOfCleaning.map(() => 'cancelled'));
      const cleaned = (name: string): string => (durably ? ` with ${name} cleaned` : '');
      const ended = [
        'branch left ends',
        'branch right ends',
        'root caught CancelledError',
        'root ends',
        `sleeping left ends${cleaned('left')}`,
        `sleeping right ends${cleaned('right')}`,
        'working left ends with CancelledError',
        'working right ends with CancelledError',
      ];
      await until(() => tree.log.length >= ended.length);
      // A replay begins from the top, and so does code that tells of its begin.
      expect(tree.log.filter((line) => !/^(sleeping|working) \w+$/.test(line)).sort()).toEqual(ended);
      await expect(client.cancel(id)).resolves.toBe(false);
    },
    60_000,
  );
});

it('is refused for a call that there is not', async () => {
  const { client } = await start({});
  await expect(client.cancel('0'.repeat(32))).rejects.toBeInstanceOf(NotFoundError);
});
