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
  /** What a terminal of that size shows after all that was written. */
  function terminal(columns = 20, rows = 10) {
    let screen = '';
    const write = (text: string): void => {
      // Cursor up n lines, and erase to the end of the screen: all that the area uses.
      for (const part of text.split(/(?<=\u001b\[0J)/)) {
        const up = /^([^]*?)\u001b\[(\d+)A\u001b\[0J$/.exec(part);
        screen += up ? up[1] : part;
        if (up)
          screen = `${screen
            .split('\n')
            .slice(0, -1 - Number(up[2]))
            .join('\n')}\n`.replace(/^\n$/, '');
      }
    };
    return { columns, rows, write, shown: () => screen };
  }

  it('stays below what is printed', () => {
    const screen = terminal();
    const area = new LiveArea(screen);
    area.show(['one', 'two']);
    area.print('printed\n');
    expect(screen.shown()).toBe('printed\none\ntwo\n');
    area.show(['three']);
    area.print('half ');
    area.print('a line\nand');
    expect(screen.shown()).toBe('printed\nhalf a line\nthree\n');
    area.end();
    expect(screen.shown()).toBe('printed\nhalf a line\nand');
  });

  it('takes no more room than there is', () => {
    const screen = terminal(10, 4);
    new LiveArea(screen).show(['a long line that does not fit', 'b', 'c', 'd']);
    expect(screen.shown()).toBe('a long li\nb\n');
  });
});
