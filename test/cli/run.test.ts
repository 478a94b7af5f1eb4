import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compiled } from '../support/compiled.js';
import { command } from '../support/command-line.js';
import { TypeScriptProcess } from '../support/typescript-process.js';

const MAIN = new URL('../../lib/cli/main.ts', import.meta.url);
const APP = compiled(new URL('run.app.ts', import.meta.url));

let folder: string;
let running: TypeScriptProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dispatch-run-'));
});
afterEach(async () => {
  await running?.kill();
  running = undefined;
  rmSync(folder, { recursive: true, force: true });
});

function run(...task: string[]): TypeScriptProcess {
  const application = [process.execPath, '--no-warnings', '--import', 'reflect-metadata', APP, ...task];
  return (running = new TypeScriptProcess(MAIN, ['run', '--store', join(folder, 'run.db'), '--', ...application]));
}

it('run gives a command a scheduler, shows its calls, and ends as it has ended', async () => {
  const process = run('sum');
  let shown = '';
  process.errors.on('data', (chunk: Buffer) => (shown += chunk.toString()));
  const lines = await process.rest();
  expect(lines.find((line) => line.startsWith('result '))).toBe('result [2,3,4]');
  await expect(process.ended).resolves.toBe(7);
  expect(shown).toMatch(/^→ Sums\.all [0-9a-f]{32}$/m);
  expect(shown.match(/^ {2}✓ Sums\.next /gm)).toHaveLength(3);
  expect(shown).toMatch(/^✓ Sums\.all /m);
}, 120_000);

it('run goes on with the calls of the time before', async () => {
  const left = (await run('leave').rest()).find((line) => line.startsWith('left '));
  const id = left?.replace('left ', '') ?? '';
  const lines = await run('find', id).rest();
  expect(lines).toContain('found 42');
}, 120_000);

it('run passes signals on, and ends as its command does', async () => {
  const process = run('wait');
  await process.until('waiting');
  await process.terminate();
  // Nest lets go of everything, and then ends by the signal: 128 and its number, as in a shell.
  await expect(process.ended).resolves.toBe(143);
}, 120_000);

it('run says so when there is no such command', async () => {
  const { code, err } = await command('run', '--store', 'memory:', '--', join(folder, 'nothing'));
  expect(code).toBe(2);
  expect(err).toContain('cannot be run');
});
