import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { transform } from '@swc/core';
import { swcOptions } from './swc.mjs';

const root = new URL('../../', import.meta.url);

/** The package under its own names: the same as `moduleNameMapper` in jest.config.mjs. */
const packageEntries = new Map([
  ['nestjs-dispatch', new URL('lib/index.ts', root).href],
  ['nestjs-dispatch/testing', new URL('lib/testing/index.ts', root).href],
  ['nestjs-dispatch/proto', new URL('lib/proto.ts', root).href],
  ['nestjs-dispatch/scheduler', new URL('lib/standalone/index.ts', root).href],
]);

export async function resolve(specifier, context, next) {
  const entry = packageEntries.get(specifier);
  if (entry) return { url: entry, format: 'module', shortCircuit: true };
  const url = typescriptFile(specifier, context.parentURL);
  return url ? { url, format: 'module', shortCircuit: true } : next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context);
  const filename = fileURLToPath(url);
  const { code } = await transform(await readFile(filename, 'utf8'), {
    filename,
    configFile: false,
    swcrc: false,
    ...swcOptions,
  });
  return { format: 'module', source: code, shortCircuit: true };
}

/** The `.ts` file that a `.ts` specifier names, or a `.js` one whose file is only there as TypeScript. */
function typescriptFile(specifier, parentURL) {
  const isRelative = /^\.{1,2}\//.test(specifier);
  if (!isRelative && !specifier.startsWith('file:') && !specifier.startsWith('/')) return undefined;
  const url = specifier.startsWith('/') ? pathToFileURL(specifier) : new URL(specifier, parentURL);
  if (url.pathname.endsWith('.ts')) return url.href;
  if (!url.pathname.endsWith('.js') || existsSync(url)) return undefined;
  const typescript = new URL(url.href.replace(/\.js$/, '.ts'));
  return existsSync(typescript) ? typescript.href : undefined;
}
