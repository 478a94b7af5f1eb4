import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compiled } from '../support/compiled.js';
import { TerminalProcess } from '../support/terminal-process.js';

const MAIN = new URL('../../lib/cli/main.ts', import.meta.url);
const APP = compiled(new URL('terminal.app.ts', import.meta.url));

let folder: string;
let terminal: TerminalProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dispatch-terminal-'));
});
afterEach(() => {
  terminal?.kill();
  rmSync(folder, { recursive: true, force: true });
});

function run(task: string, env: Record<string, string> = {}): TerminalProcess {
  const application = [
    process.execPath,
    '--no-warnings',
    '--import',
    'reflect-metadata',
    APP,
    task,
    join(folder, 'go'),
  ];
  return (terminal = new TerminalProcess(MAIN, ['run', '--store', join(folder, 'run.db'), '--', ...application], env));
}

const letGo = (): void => writeFileSync(join(folder, 'go'), '');
const ID = /[0-9a-f]{32}/;
const TIME = /\d+(ms|s)/;
const shape = (lines: readonly string[]): string[] => lines.map((line) => line.replace(ID, 'ID').replace(TIME, 'TIME'));

describe('run in a terminal', () => {
  it('draws the calls below what the command prints, and leaves them there when they have ended', async () => {
    const { shows, ended } = bound(run('trip'));
    // What a leg prints, and that it has begun, come on different ways.
    const drawn = await shows((lines) => lines.filter((line) => /─ ● leg |^leg \d begins/.test(line)).length === 6);
    expect(shape(drawn.slice(1))).toEqual([
      'FORCE_COLOR is 1',
      'leg 0 begins',
      'leg 1 begins',
      'leg 2 begins',
      '… trip ID TIME',
      '├─ ● leg ID TIME',
      '├─ ● leg ID TIME',
      '└─ ● leg ID TIME',
    ]);

    const times = (lines: readonly string[]) => lines.map((line) => TIME.exec(line)?.[0]).join();
    const later = await shows((lines) => times(lines) !== times(drawn));
    expect(shape(later)).toEqual(shape(drawn));

    terminal?.resize(30, 30);
    const narrow = await shows((lines) => lines.some((line) => /^└─ ● leg [0-9a-f]+…$/.test(line)));
    expect(narrow.slice(-4).map((line) => line.replace(/[0-9a-f]+…$/, ''))).toEqual([
      '… trip ',
      '├─ ● leg ',
      '├─ ● leg ',
      '└─ ● leg ',
    ]);
    expect(narrow.filter((line) => line.includes('trip'))).toHaveLength(1);

    terminal?.resize(100, 30);
    letGo();
    expect(await ended).toBe(7);
    const left = shape((await terminal?.screen.lines()) ?? []);
    expect(left.slice(1)).toEqual([
      ...['FORCE_COLOR is 1', 'leg 0 begins', 'leg 1 begins', 'leg 2 begins'],
      ...['✓ trip ID TIME', '├─ ✓ leg ID TIME', '├─ ✓ leg ID TIME', '└─ ✓ leg ID TIME'],
      'arrived [0,1,2]',
    ]);
  }, 120_000);

  it('shows what the command asks, passes Ctrl-C on once, ends as it ends, and asks for no colours with NO_COLOR', async () => {
    const { shows, ended } = bound(run('ask', { NO_COLOR: '1' }));
    expect(await shows((lines) => lines.includes('ready? '))).toContain('FORCE_COLOR is not set');
    terminal?.type('\u0003');
    expect(await ended).toBe(3);
    const left = (await terminal?.screen.lines()) ?? [];
    expect(left.filter((line) => line.includes('interrupted'))).toEqual([expect.stringContaining('interrupted 1')]);
  }, 120_000);

  it('prints a line for each event where the terminal can draw nothing', async () => {
    letGo();
    const { ended } = bound(run('trip', { TERM: 'dumb' }));
    expect(await ended).toBe(7);
    const left = shape((await terminal?.screen.lines()) ?? []);
    expect(left).toEqual(expect.arrayContaining(['→ trip ID', '  → leg ID', '✓ trip ID TIME', 'arrived [0,1,2]']));
  }, 120_000);
});

function bound(process: TerminalProcess) {
  return { shows: process.shows.bind(process), ended: process.ended };
}
