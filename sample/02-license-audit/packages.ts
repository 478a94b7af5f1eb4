import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface PackageFiles {
  /** By its package.json; where that has none, or cannot be read, the package's path. */
  readonly name: string;
  readonly version: string;
  readonly license: unknown;
  /** Its package.json is no file with a JSON object. */
  readonly isUnreadable: boolean;
  /** The text of its licence file; empty when there is none. */
  readonly text: string;
}

/** The folders of all packages installed below a `node_modules` folder, nested ones too, relative to it and in order. */
export async function findPackages(folder: string): Promise<string[]> {
  const found: string[] = [];
  await walk(folder, '', found);
  return found.sort();
}

/** Links are not followed: what they lead to is another project, or is found in pnpm's own folder. */
async function walk(folder: string, below: string, found: string[]): Promise<void> {
  for (const name of await foldersIn(join(folder, below))) {
    const path = join(below, name);
    if (name === '.pnpm') await walkPnpm(folder, path, found);
    else if (name.startsWith('@')) await walk(folder, path, found);
    else if (!name.startsWith('.')) await visit(folder, path, found);
  }
}

/** pnpm keeps each package once, in a `node_modules` folder of its own that links to its dependencies. */
async function walkPnpm(folder: string, below: string, found: string[]): Promise<void> {
  for (const name of await foldersIn(join(folder, below))) {
    if (name === 'node_modules') continue; // nothing but links
    const inner = join(below, name, 'node_modules');
    if (existsSync(join(folder, inner))) await walk(folder, inner, found);
  }
}

async function visit(folder: string, path: string, found: string[]): Promise<void> {
  const entries = await readdir(join(folder, path), { withFileTypes: true });
  if (entries.some(({ name }) => name === 'package.json')) found.push(path);
  if (entries.some((entry) => entry.name === 'node_modules' && entry.isDirectory())) {
    await walk(folder, join(path, 'node_modules'), found);
  }
}

async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** Reads what there is to know of a package. A broken one is no failure: it is something to report. */
export async function readPackage(folder: string, path: string): Promise<PackageFiles> {
  const manifest = await readManifest(join(folder, path, 'package.json'));
  const { name, version, license, licenses } = manifest ?? {};
  return {
    name: typeof name === 'string' ? name : path,
    version: typeof version === 'string' ? version : '',
    license: license ?? licenses,
    isUnreadable: manifest === undefined,
    text: await readLicenseFile(join(folder, path)),
  };
}

async function readManifest(file: string): Promise<Record<string, unknown> | undefined> {
  try {
    const manifest: unknown = JSON.parse((await readFile(file, 'utf8')).replace(/^\uFEFF/, ''));
    return isRecord(manifest) ? manifest : undefined;
  } catch {
    return undefined;
  }
}

async function readLicenseFile(folder: string): Promise<string> {
  try {
    const name = (await readdir(folder)).find((one) => /^(licen[cs]e|copying)(\.(md|txt|markdown))?$/i.test(one));
    return name === undefined ? '' : await readFile(join(folder, name), 'utf8');
  } catch {
    return '';
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
