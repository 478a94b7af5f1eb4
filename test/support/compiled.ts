import { transformSync } from '@swc/core';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { swcOptions } from './swc.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SOURCES = ['lib', 'test', 'sample'];
const COMPILED = join(ROOT, 'node_modules', '.cache', 'nestjs-dispatch');

let isUpToDate = false;

/**
 * The JavaScript of a TypeScript file, in a folder where all others are as well. Tests start hundreds of processes: one
 * that compiles what it loads takes twice as long to start.
 *
 * @param script a URL, from `new URL('x.ts', import.meta.url)`
 */
export function compiled(script: URL): string {
  if (!isUpToDate) bringUpToDate();
  isUpToDate = true;
  return outputOf(relative(ROOT, fileURLToPath(script)));
}

function bringUpToDate(): void {
  const { version, exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as PackageDescription;
  // The package under its own names.
  write(
    join(COMPILED, 'package.json'),
    JSON.stringify({ name: 'nestjs-dispatch', version, type: 'module', exports: ownExports(exports) }),
  );
  for (const folder of SOURCES) compileAll(folder);
}

function compileAll(folder: string): void {
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== 'node_modules') compileAll(path);
    else if (entry.isFile() && path.endsWith('.ts')) compile(path);
  }
}

interface PackageDescription {
  readonly version: string;
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
}

/** Without `dist`, which is where the build has them. */
function ownExports(exports: PackageDescription['exports']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(exports).map(([name, target]) => {
      const path = typeof target === 'string' ? target : target.default;
      return [name, path.replace('./dist/', './')];
    }),
  );
}

const outputOf = (source: string): string => join(COMPILED, source.replace(/\.ts$/, '.js'));

/** What was compiled has the time of its source. */
function compile(source: string): void {
  const file = join(ROOT, source);
  const output = outputOf(source);
  const { mtime } = statSync(file);
  if (statSync(output, { throwIfNoEntry: false })?.mtime.getTime() === mtime.getTime()) return;
  const { code } = transformSync(readFileSync(file, 'utf8'), {
    filename: file,
    configFile: false,
    swcrc: false,
    ...swcOptions,
  });
  write(output, code, mtime);
}

/** Whole or not at all, whoever else does the same. */
function write(path: string, text: string, time?: Date): void {
  const draft = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(draft, text);
  if (time !== undefined) utimesSync(draft, time, time);
  renameSync(draft, path);
}
