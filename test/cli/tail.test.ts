import { expect, it } from '@jest/globals';
import { CallTail } from '../../lib/cli/call.tail.js';
import type { CallInfo } from '../../lib/scheduler/index.js';

type Source = ConstructorParameters<typeof CallTail>[0];

/** Calls that a test changes, listed as a scheduler does: the newest first, two a page. */
class Calls implements Source {
  readonly all: CallInfo[] = [];

  add(id: string, createdAt: number): void {
    this.all.unshift({
      id,
      rootId: id,
      parentId: undefined,
      endpoint: 'http://app',
      function: 'f',
      version: '',
      state: 'pending',
      waitsFor: 'turn',
      dueAt: createdAt,
      status: undefined,
      createdAt,
      expiresAt: undefined,
      finishedAt: undefined,
      attempt: 0,
      crashes: 0,
      incarnation: 1,
      cancelling: false,
      priority: 0,
      key: undefined,
    });
  }

  change(id: string, change: Partial<CallInfo>): void {
    const index = this.all.findIndex((call) => call.id === id);
    const call = this.all[index];
    if (call) this.all[index] = { ...call, ...change };
  }

  async get(id: string): Promise<CallInfo | undefined> {
    return this.all.find((call) => call.id === id);
  }

  async list({ createdAfter = 0, after = '0' }: Parameters<Source['list']>[0]) {
    const found = this.all.filter((call) => call.createdAt > createdAfter);
    const end = Number(after) + 2;
    return { calls: found.slice(Number(after), end), next: end < found.length ? String(end) : undefined };
  }
}

const changesOf = async (tail: CallTail): Promise<string[]> =>
  (await tail.changes()).map(({ id, state }) => `${id} ${state}`);

it('a tail tells of new calls, the oldest first, and of each change of their states once', async () => {
  const calls = new Calls();
  calls.add('old', 5);
  const tail = new CallTail(calls, 10);
  await expect(changesOf(tail)).resolves.toEqual([]);
  for (const id of ['a', 'b', 'c']) calls.add(id, 10);
  await expect(changesOf(tail)).resolves.toEqual(['a pending', 'b pending', 'c pending']);
  await expect(changesOf(tail)).resolves.toEqual([]);
  calls.change('b', { state: 'succeeded', finishedAt: 11 });
  // One more of the millisecond that was looked at already, and one that begins and ends between two looks.
  calls.add('d', 10);
  calls.add('e', 12);
  calls.change('e', { state: 'failed', finishedAt: 12 });
  await expect(changesOf(tail)).resolves.toEqual(['b succeeded', 'd pending', 'e failed']);
  await expect(changesOf(tail)).resolves.toEqual([]);
});
