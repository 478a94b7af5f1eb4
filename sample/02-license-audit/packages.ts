import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface PackageFiles {
  readonly name: string;
  readonly version: string;
  readonly license: unknown;
  /** The text of its licence file; empty when there is none. */
  readonly text: string;
}

/** The folders of all packages installed below a `node_modules` folder, nested ones too, relative to it and in order. */
export async function findPackages(folder: string): Promise<string[]> {
  const found: string[] = [];
  await walk(folder, '', found);
  return found.sort();
}

async function walk(folder: string, below: string, found: string[]): Promise<void> {
  const entries = await readdir(join(folder, below), { withFileTypes: true });
  for (const entry of entries) {
    if (!entry.isDirectory() || entry.name.startsWith('.')) continue;
    const path = join(below, entry.name);
    if (entry.name.startsWith('@')) await walk(folder, path, found);
    else await visit(folder, path, found);
  }
}

async function visit(folder: string, path: string, found: string[]): Promise<void> {
  const names = await readdir(join(folder, path));
  if (names.includes('package.json')) found.push(path);
  if (names.includes('node_modules')) await walk(folder, join(path, 'node_modules'), found);
}

export async function readPackage(folder: string): Promise<PackageFiles> {
  const manifest = parseManifest(await readFile(join(folder, 'package.json'), 'utf8'));
  const names = await readdir(folder);
  const file = names.find((name) => /^(licen[cs]e|copying)(\.(md|txt|markdown))?$/i.test(name));
  const text = file === undefined ? '' : await readFile(join(folder, file), 'utf8').catch(() => '');
  return {
    name: typeof manifest.name === 'string' ? manifest.name : folder,
    version: typeof manifest.version === 'string' ? manifest.version : '',
    license: manifest.license ?? manifest.licenses,
    text,
  };
}

function parseManifest(text: string): Record<string, unknown> {
  const manifest: unknown = JSON.parse(text.replace(/^\uFEFF/, ''));
  return typeof manifest === 'object' && manifest !== null ? (manifest as Record<string, unknown>) : {};
}
