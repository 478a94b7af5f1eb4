import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { cp, mkdir, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { SqliteDriverName } from '../../lib/scheduler/stores/sqlite/driver.js';
import { nodeDriver } from '../../lib/scheduler/stores/sqlite/driver.node.js';

/** The drivers that tests of the SQLite store run on: libsql everywhere, and `node:sqlite` where it is. */
export const driversHere: readonly SqliteDriverName[] = nodeDriver() ? ['node', 'libsql'] : ['libsql'];

/** Copies what the owner of a store's file would leave behind if it died now. */
export async function crashSqlite(path: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  const files = (await readdir(dirname(path))).filter(
    (file) => file.startsWith(basename(path)) && !file.endsWith('-lock'),
  );
  for (const file of files)
    await cp(join(dirname(path), file), join(dirname(to), file.replace(basename(path), basename(to))));
}

/** A process of its own that opens a store: see store.child.ts. */
export class StoreProcess {
  readonly pid: number;
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string>;

  constructor(path: string, driver: SqliteDriverName, options: { lockTimeout?: number; task?: 'hold' | 'write' } = {}) {
    const script = fileURLToPath(new URL('store.child.ts', import.meta.url));
    const loader = new URL('ts-loader.mjs', import.meta.url).href;
    const { lockTimeout = 0, task = 'hold' } = options;
    this.child = spawn(process.execPath, [
      '--no-warnings',
      '--import',
      loader,
      script,
      path,
      driver,
      String(lockTimeout),
      task,
    ]);
    this.child.stderr.pipe(process.stderr);
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
    if (this.child.pid === undefined) throw new Error('the process did not start');
    this.pid = this.child.pid;
  }

  /** The next line that it prints, undefined when it has ended. */
  async line(): Promise<string | undefined> {
    const next = await this.lines.next();
    return next.done ? undefined : next.value;
  }

  /** Kills it; returns what it had printed until then. */
  async kill(): Promise<string[]> {
    this.child.kill('SIGKILL');
    const lines: string[] = [];
    for (let line = await this.line(); line !== undefined; line = await this.line()) lines.push(line);
    return lines;
  }

  /** Lets it close its store and end. */
  async end(): Promise<void> {
    this.child.stdin.end();
    while ((await this.line()) !== undefined);
  }
}
