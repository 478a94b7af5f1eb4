import { describe, expect, it } from '@jest/globals';
import { CallTree, type TreeNode } from '../../lib/cli/call.tree.js';
import { LiveArea } from '../../lib/cli/live.area.js';
import { eventLine, treeLines } from '../../lib/cli/tree.text.js';
import { MemoryStore, Scheduler, secureRandom, type Transport } from '../../lib/scheduler/index.js';
import { meteredStore } from '../../lib/standalone/metered.store.js';
import { SchedulerMetrics } from '../../lib/standalone/scheduler.metrics.js';
import { SystemClock } from '../../lib/protocol/index.js';
import { failure } from '../../lib/endpoint/index.js';
import { Status } from '../../lib/errors/index.js';
import { Screen } from '../support/screen.js';
import { Polls } from './scripted-runs.js';

const ID = /[0-9a-f]{32}/g;
const TIME = / \d+ms/g;

interface Watched {
  readonly lines: string[];
  readonly ended: TreeNode[];
  readonly tree: CallTree;
  readonly scheduler: Scheduler;
}

async function watch(transport: Transport): Promise<Watched> {
  const lines: string[] = [];
  const ended: TreeNode[] = [];
  const tree = new CallTree((event) => {
    lines.push(...[eventLine(event) ?? []].flat());
    if (event.type === 'ended') ended.push(event.root);
  });
  const metrics: SchedulerMetrics = new SchedulerMetrics(() => scheduler.census());
  const store = meteredStore(new MemoryStore(), metrics, tree);
  const log = { log: () => undefined, warn: () => undefined, error: () => undefined };
  const scheduler: Scheduler = new Scheduler(
    { store, transport, clock: new SystemClock({ unref: true }), random: secureRandom(), log },
    { retry: { initial: 1 } },
  );
  await scheduler.start();
  return { lines, ended, tree, scheduler };
}

describe('the display of calls', () => {
  it('has a line for what is dispatched, retried and ended, children below their parents', async () => {
    const runs = new Polls({ child: 2 });
    const { lines, scheduler } = await watch(runs);
    runs.failures.push(Status.TEMPORARY_ERROR);
    const [id = ''] = await scheduler.dispatch([{ endpoint: 'http://app', function: 'parent' }]);
    await scheduler.wait(id);
    await scheduler.stop();
    expect(lines.map((line) => line.replace(ID, 'ID').replace(TIME, ''))).toEqual([
      '→ parent ID',
      '↻ parent ID failed, attempt 1; it is made again',
      '  → child ID',
      '  → child ID',
      '  ✓ child ID',
      '  ✓ child ID',
      '✓ parent ID',
    ]);
  });

  it('shows an ended tree as a whole, and forgets it', async () => {
    const runs = new Polls({ child: 12 });
    const { ended, tree, scheduler } = await watch(runs);
    const [id = ''] = await scheduler.dispatch([{ endpoint: 'http://app', function: 'parent' }]);
    expect(tree.roots.size).toBe(1);
    await scheduler.wait(id);
    await scheduler.stop();
    expect(tree.roots.size).toBe(0);
    const lines = ended.flatMap((root) => treeLines(root, 0));
    expect(lines.map((line) => line.replace(ID, 'ID').replace(TIME, ''))).toEqual([
      '✓ parent ID',
      ...Array.from({ length: 10 }, () => '├─ ✓ child ID'),
      '└─ and 2 more',
    ]);
  });

  it('shows of many calls those that are under way, and counts the others', () => {
    const node = (n: number, state: TreeNode['state']): TreeNode => ({
      ...{ id: `id-${n}`, function: 'f', depth: 1, createdAt: 0, children: [], state, attempt: 0 },
      ...{ finishedAt: state === 'pending' ? undefined : 0, failure: undefined },
    });
    const states = Array.from({ length: 40 }, (_, n) => (n % 3 === 0 ? 'succeeded' : n === 1 ? 'failed' : 'pending'));
    const children = states.map((state, n) => node(n, state as TreeNode['state']));
    const [, ...lines] = treeLines({ ...node(0, 'suspended'), children }, 0);
    expect(lines).toHaveLength(11);
    expect(lines.slice(0, 10).every((line) => line.includes('●'))).toBe(true);
    expect(lines.at(-1)).toBe('└─ and 30 more, 15 under way, 1 failed');
  });

  it('makes one line of what has several, and moves no cursor', async () => {
    const transport: Transport = {
      extended: () => false,
      run: () => Promise.resolve(failure(Status.PERMISSION_DENIED, 'not\n  for\u001b[2Jyou\t!')),
    };
    const { lines, scheduler } = await watch(transport);
    const [id = ''] = await scheduler.dispatch([{ endpoint: 'http://app', function: 'f' }]);
    await scheduler.wait(id);
    await scheduler.stop();
    expect(lines.at(1)).toMatch(/PermissionDeniedError: not foryou !$/);
  });

  it('says what a call has failed with', async () => {
    const transport: Transport = {
      extended: () => false,
      run: () => Promise.resolve(failure(Status.PERMISSION_DENIED, 'not for you')),
    };
    const { lines, scheduler } = await watch(transport);
    const [id = ''] = await scheduler.dispatch([{ endpoint: 'http://app', function: 'f' }]);
    await scheduler.wait(id);
    await scheduler.stop();
    expect(lines.at(1)).toContain('PermissionDeniedError: not for you');
  });
});

describe('a live area', () => {
  it('stays below what is printed', async () => {
    const screen = new Screen(40, 10);
    const area = new LiveArea(screen);
    area.show(['one', 'two']);
    area.print('printed\n');
    expect(await screen.lines()).toEqual(['printed', 'one', 'two']);
    area.show(['three']);
    area.print('half ');
    area.print('a line\nand');
    area.show([]);
    expect(await screen.lines()).toEqual(['printed', 'half a line', 'and']);
    area.end();
    area.print(' the rest\n');
    expect(await screen.lines()).toEqual(['printed', 'half a line', 'and the rest']);
  });

  it('shows what is asked without the end of a line, and the last of what overwrites itself', async () => {
    const screen = new Screen(40, 10);
    const area = new LiveArea(screen);
    area.show(['tree']);
    area.print('\u001b[32mGo on?\u001b[0m ');
    expect(await screen.lines()).toEqual(['Go on? ', 'tree']);
    area.print('yes\n');
    for (const part of ['10 %', '\r20 %', '\r30 %']) area.print(part);
    expect(await screen.lines()).toEqual(['Go on? yes', '30 %', 'tree']);
    area.print('\n');
    expect(await screen.lines()).toEqual(['Go on? yes', '30 %', 'tree']);
  });

  it('takes half of the screen, and says how much more there is', async () => {
    const screen = new Screen(20, 6);
    const area = new LiveArea(screen);
    area.show(['a', 'b', 'c']);
    expect(await screen.lines()).toEqual(['a', 'b', 'c']);
    area.show(['a', 'b', 'c', 'd'], 10);
    expect(await screen.lines()).toEqual(['a', 'b', '… and 12 more']);
  });

  it('cuts what is too wide, counting columns and not characters', async () => {
    const screen = new Screen(20, 20);
    new LiveArea(screen).show([
      'a line of exactly 19',
      'a line that does not fit',
      '測量測量測量測量測量',
      '👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀',
      '❤️❤️❤️❤️❤️❤️❤️❤️❤️❤️❤️',
      'résumé naïve Ånder',
    ]);
    expect(await screen.wraps()).toBe(false);
    const [first, second, third, , , last] = await screen.lines();
    expect([first, second, third]).toEqual(['a line of exactly …', 'a line that does n…', '測量測量測量測量測…']);
    expect(last).toBe('résumé naïve Ånder');
  });

  it('leaves nothing behind when the terminal becomes narrower, or wider', async () => {
    const screen = new Screen(60, 20);
    const area = new LiveArea(screen);
    area.print('printed\n');
    const lines = ['x'.repeat(50), 'y'.repeat(50)];
    area.show(lines);
    await screen.lines();
    screen.resize(20, 20);
    area.show(lines);
    expect(await screen.lines()).toEqual(['printed', `${'x'.repeat(18)}…`, `${'y'.repeat(18)}…`]);
    screen.resize(60, 20);
    area.show(lines);
    expect(await screen.lines()).toEqual(['printed', ...lines]);
  });

  it('writes nothing while nothing changes', () => {
    const written: string[] = [];
    const area = new LiveArea({ write: (text) => written.push(text) });
    area.show(['tree']);
    area.show(['tree']);
    area.end();
    area.end();
    expect(written).toHaveLength(2);
  });

  it('is 80 columns wide on a terminal that says that it has none', async () => {
    const screen = new Screen(100, 20);
    new LiveArea({ columns: 0, rows: 0, write: (text) => screen.write(text) }).show(['x'.repeat(90)]);
    expect(await screen.lines()).toEqual([`${'x'.repeat(78)}…`]);
  });
});
