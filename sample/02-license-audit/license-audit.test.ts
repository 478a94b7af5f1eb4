import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { NestFactory } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { DispatchClient, DispatchModule } from 'nestjs-dispatch';
import { TestTime } from 'nestjs-dispatch/testing';
import { compiled } from '../../test/support/compiled.js';
import { AppModule } from './app.module.js';
import { AuditProgress } from './audit-progress.service.js';
import { LicenseAudit, type Audit, type AuditResult } from './license-audit.service.js';
import { classify } from './license.js';

const MAIN = resolve('sample/02-license-audit/main.ts');
const MIT_TEXT = 'Permission is hereby granted, free of charge, to any person obtaining a copy';
const PLAIN_PACKAGES = 50;

// Processes are started, which takes its time on a busy machine.
jest.setTimeout(120_000);

/** How a process ended, and what it said. */
interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

describe('the licence audit', () => {
  let folder: string;
  let modules: string;
  let data: string;
  const processes: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'license-audit-'));
    modules = join(folder, 'node_modules');
    data = join(folder, 'data');
    await install(modules);
  });

  afterEach(async () => {
    for (const child of processes.splice(0)) child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  /** Starts the sample as a process of its own. */
  function start(env: Record<string, string>, args = [modules]): { child: ChildProcess; ended: Promise<Ended> } {
    const child = spawn(
      process.execPath,
      ['--no-warnings', '--import', 'reflect-metadata', compiled(pathToFileURL(MAIN)), ...args],
      {
        env: { ...process.env, NODE_OPTIONS: '', AUDIT_DATA: data, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    processes.push(child);
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const ended = once(child, 'close').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      out,
      err,
    }));
    return { child, ended };
  }

  const run = (env: Record<string, string> = {}, args?: string[]): Promise<Ended> => start(env, args).ended;

  /** The packages that a process looked at, in its order. */
  const looked = (trace: string): string[] =>
    existsSync(trace) ? readFileSync(trace, 'utf8').trim().split('\n').filter(Boolean) : [];

  /** What a process reports of its audit, without what it says of itself. */
  const reportIn = (out: string): string => /Licences of[^]*?Total:.*/.exec(out)?.[0] ?? '';

  /** Waits until a process has looked at that many packages; it must not end before. */
  async function lookedAt(count: number, trace: string, child: ChildProcess): Promise<void> {
    while (looked(trace).length < count) {
      if (child.exitCode !== null) throw new Error(`the audit ended after ${looked(trace).length} packages`);
      await delay(5);
    }
  }

  /** The packages whose results are in the store, by name. */
  async function recorded(): Promise<string[]> {
    const store = readdirSync(data).find((name) => name.endsWith('.db'));
    const options = { scheduler: { store: join(data, store ?? ''), run: false } };
    const app = await NestFactory.createApplicationContext(DispatchModule.forRoot(options), { logger: false });
    try {
      const client = app.get(DispatchClient);
      const { calls } = await client.list({ function: 'PackageAuditor.audit', state: 'succeeded', limit: 1_000 });
      return (await Promise.all(calls.map(({ id }) => client.wait<Audit>(id)))).map(({ name }) => name).sort();
    } finally {
      await app.close();
    }
  }

  it('reports every form of licence there is, and what needs a look', async () => {
    const { code, out, err } = await run();
    expect(err).toBe('');
    expect(code).toBe(0);
    const rows = [...out.matchAll(/│ (.+?) +│ (.+?) +│ (\d+) +│/g)].map(([, ...cells]) => cells.join(' | '));
    expect(rows).toEqual([
      'MIT | permissive | 52',
      '(MIT OR GPL-3.0-only) | permissive | 2',
      '(broken package.json) | unreadable | 2',
      '(MIT AND GPL-3.0-only) | copyleft | 1',
      '(none) | none | 1',
      'Apache-2.0 | permissive | 1',
      'LGPL-3.0-or-later | weak copyleft | 1',
      'MIT OR Apache-2.0 | permissive | 1',
      'UNLICENSED | none | 1',
      'our own terms | unknown | 1',
    ]);
    expect(out).toContain('  broken: its package.json is no JSON object\n');
    expect(out).toContain('  @scope/list: its package.json is no JSON object\n');
    expect(out).toContain('  nothing@1.0.0: no licence\n');
    expect(out).toContain('  unlicensed@1.0.0: UNLICENSED, nobody may use it\n');
    expect(out).toContain('  custom@1.0.0: our own terms, an unknown licence\n');
    expect(out).toContain('Total: 63 packages,');
    const saved = /Report: (.*)/.exec(out)?.[1] ?? '';
    expect(readFileSync(saved, 'utf8').trim()).toBe(reportIn(out));
    expect(existsSync(/Data: {3}(.*)/.exec(out)?.[1] ?? '')).toBe(true);
  });

  it('goes on after kill -9, and looks at no package again whose result was recorded', async () => {
    const complete = await run({ AUDIT_DATA: join(folder, 'other') });
    const first = join(folder, 'first');
    const second = join(folder, 'second');
    const all = packagePaths();

    const { child, ended } = start({ AUDIT_TRACE: first, AUDIT_PACE_MS: '20' });
    await lookedAt(35, first, child);
    child.kill('SIGKILL');
    await expect(ended).resolves.toMatchObject({ signal: 'SIGKILL' });
    const before = await recorded();
    expect(before.length).toBeGreaterThan(0);
    expect(before.length).toBeLessThan(all.length);

    const { code, out, err } = await run({ AUDIT_TRACE: second });
    expect(err).toBe('');
    expect(code).toBe(0);
    expect(reportIn(out)).toBe(reportIn(complete.out));
    const again = looked(second).sort();
    expect(again).toEqual(all.filter((path) => !before.includes(path)));
    expect(out).toMatch(
      new RegExp(`Going on with audit [0-9a-f]{32}: ${before.length} packages were audited before\\.`),
    );
    expect(out).toContain(
      `\n${before.length} of ${all.length} packages came from before, ${again.length} were audited now.\n`,
    );
  });

  it('ends in order on an interrupt, and goes on from there', async () => {
    const trace = join(folder, 'trace');
    const { child, ended } = start({ AUDIT_TRACE: trace, AUDIT_PACE_MS: '20' });
    await lookedAt(20, trace, child);
    child.kill('SIGINT');
    const { signal, out, err } = await ended;
    expect(signal).toBe('SIGINT');
    expect(out).toBe('');
    expect(err).toBe('Interrupted. Start it again to go on from here.\n');
    const before = looked(trace);

    const { code, out: report } = await run({ AUDIT_TRACE: trace });
    expect(code).toBe(0);
    expect(report).toContain(`\n${before.length} of 63 packages came from before,`);
    expect(looked(trace).sort()).toEqual(packagePaths());
  });

  it('begins anew when the audit before it has ended', async () => {
    await run();
    const { out } = await run();
    expect(out).not.toContain('Going on');
    expect(out).not.toContain('came from before');
    expect(reportIn(out)).toContain('Total: 63 packages,');
  });

  it('begins in an hour, after a restart, and is one durable call for each package', async () => {
    const time = new TestTime();
    const begin = async (): Promise<TestingModule> => {
      const builder = Test.createTestingModule({ imports: [AppModule.with(join(data, 'unused.db'))] });
      return (await time.control(builder).compile()).init();
    };
    const report = join(folder, 'report.txt');
    const first = await begin();
    const inAnHour = first.get(DispatchClient).with({ delay: '1h' });
    const id = await inAnHour.dispatch(first.get(LicenseAudit).run, modules, report);
    await first.close();

    const second = await begin();
    await time.advance('59m');
    expect(existsSync(report)).toBe(false);
    await time.advance('1m');
    const client = second.get(DispatchClient);
    expect(await client.wait<AuditResult>(id)).toMatchObject({ packages: 63, path: report });
    expect(readFileSync(report, 'utf8')).toContain('Total: 63 packages,');
    const { calls } = await client.list({ function: 'PackageAuditor.audit', limit: 1_000 });
    expect(calls.map(({ state }) => state)).toEqual(Array.from({ length: 63 }, () => 'succeeded'));
    second.get(AuditProgress).stop();
    await second.close();
    expect(existsSync(data)).toBe(false);
  });

  it.each([
    ['a folder that there is not', ['/no/such/folder'], 'There is no folder /no/such/folder.'],
    ['a file', [MAIN], 'There is no folder'],
    ['two folders', ['a', 'b'], 'One folder is audited at a time.'],
    ['an option', ['--all'], 'One folder is audited at a time.'],
  ])('refuses %s with exit code 2 and its usage', async (_what, args, reason) => {
    const { code, out, err } = await run({}, args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(reason);
    expect(err).toContain('Usage: ');
    expect(existsSync(data)).toBe(false);
  });

  it('says in one line why it cannot keep its data', async () => {
    await writeFile(join(folder, 'occupied'), '');
    const { code, out, err } = await run({ AUDIT_DATA: join(folder, 'occupied') });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/^The audit has failed: [^\n]+\n$/);
  });
});

describe('the sorting of licences', () => {
  it.each([
    ['UNLICENSED', '', 'UNLICENSED', 'none'],
    ['Unlicense', '', 'Unlicense', 'permissive'],
    ['SEE LICENSE IN LICENSE.txt', MIT_TEXT, 'MIT', 'permissive'],
    ['SEE LICENSE IN LICENSE.txt', 'Ours.', 'SEE LICENSE IN LICENSE.txt', 'unknown'],
    ['Apache 2', '', 'Apache 2', 'permissive'],
    ['GPL-2.0-only WITH Classpath-exception-2.0', '', 'GPL-2.0-only WITH Classpath-exception-2.0', 'copyleft'],
    [{ type: 'MPL-2.0', url: 'x' }, '', 'MPL-2.0', 'weak copyleft'],
    [[], '', '', 'none'],
    [{}, '', '', 'none'],
    [42, '', '', 'none'],
  ])('takes %j with the text %j for %s', (declared, text, id, category) => {
    expect(classify(declared, text)).toMatchObject({ id, category });
  });
});

const manifests: Readonly<Record<string, unknown>> = {
  string: { license: 'Apache-2.0' },
  object: { license: { type: 'MIT', url: 'https://example.com' } },
  objects: { licenses: [{ type: 'MIT' }, { type: 'Apache-2.0' }] },
  unlicensed: { license: 'UNLICENSED' },
  custom: { license: 'our own terms' },
  either: { license: '(MIT OR GPL-3.0-only)' },
  'string/node_modules/nested': { license: '(MIT OR GPL-3.0-only)' },
  both: { license: '(MIT AND GPL-3.0-only)' },
  '@scope/lesser': { license: 'LGPL-3.0-or-later' },
  'text-only': {},
  nothing: {},
};

/** A `node_modules` folder with a package of each kind, among many plain ones. */
async function install(modules: string): Promise<void> {
  const add = async (path: string, manifest: string, license?: string): Promise<void> => {
    const file = join(modules, path, 'package.json');
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, manifest);
    if (license !== undefined) await writeFile(join(dirname(file), 'LICENSE.md'), license);
  };
  for (const [path, manifest] of Object.entries(manifests)) {
    const content = JSON.stringify({ name: path, version: '1.0.0', ...(manifest as object) });
    await add(path, content, path === 'text-only' ? `MIT License\n\n${MIT_TEXT}` : undefined);
  }
  await add('broken', '{ "name": "broken", ');
  await add('@scope/list', '["no", "object"]');
  for (let n = 0; n < PLAIN_PACKAGES; n++) {
    const name = `plain-${String(n).padStart(2, '0')}`;
    await add(name, JSON.stringify({ name, version: '1.0.0', license: 'MIT' }), `${MIT_TEXT} of ${name}`);
  }
  // What is no package: a folder of tools, and one without a package.json.
  await mkdir(join(modules, '.bin'), { recursive: true });
  await mkdir(join(modules, 'no-package'), { recursive: true });
}

/** The path of each, which is its name as well. */
function packagePaths(): string[] {
  const plain = Array.from({ length: PLAIN_PACKAGES }, (_, n) => `plain-${String(n).padStart(2, '0')}`);
  return [...Object.keys(manifests), 'broken', '@scope/list', ...plain].sort();
}
