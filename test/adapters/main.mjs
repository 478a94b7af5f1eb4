// Installs the libraries whose transactions a dispatch can join, and runs the tests of them. Arguments go to Jest.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');

const changed = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function run(cwd, command, ...args) {
  // The engine is for migrations, which nothing here does: without a path Prisma would download it.
  const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' };
  const { status, error } = spawnSync(command, args, { cwd, env, stdio: 'inherit' });
  if (error) console.error(`${command} could not be run: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

if (changed(join(here, 'node_modules', '.package-lock.json')) < changed(join(here, 'package-lock.json'))) {
  run(here, 'npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund');
}
run(here, process.execPath, 'node_modules/prisma/build/index.js', 'generate', '--schema', 'prisma/schema.prisma');
run(root, process.execPath, 'node_modules/typescript/bin/tsc', '-p', 'test/adapters');
run(root, process.execPath, 'node_modules/eslint/bin/eslint.js', 'test/adapters');
run(
  root,
  process.execPath,
  ...['--experimental-vm-modules', '--no-warnings', '--import', './test/support/ts-loader.mjs'],
  ...['node_modules/jest/bin/jest.js', '--config', 'test/adapters/jest.config.mjs', ...process.argv.slice(2)],
);
