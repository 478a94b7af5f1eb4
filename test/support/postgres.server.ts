import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { postgresPrograms } from './postgres.programs.js';

/**
 * Runs a server in a new folder until its standard input ends, which it does when the process that has started it ends,
 * however that is; then it removes the folder.
 */
const KEEPER = `
  cd / && "$1/postgres" -D "$2" -k "$2" -c listen_addresses= $3 >"$2/log" 2>&1 &
  server=$!
  read -r wish
  kill -s "\${wish:-QUIT}" $server; wait $server
  [ -n "$wish" ] || rm -rf "$2"`;

/** The file that the server reads last, in its folder. */
const SETTINGS = 'postgresql.auto.conf';

/** A server for tests, which listens on a socket in a temporary folder. It ends with the process that has started it. */
export class PostgresServer {
  private keeper: ChildProcess;

  private constructor(
    private readonly programs: string,
    private readonly folder: string,
    private readonly settings: string,
  ) {
    this.keeper = this.launch();
  }

  /** @param settings such as `-c fsync=on`; by default nothing survives a crash of the machine */
  static async start(settings = '-c fsync=off'): Promise<PostgresServer> {
    const programs = postgresPrograms();
    const folder = newFolder();
    const { uid, gid } = unprivileged();
    const made = spawnSync(
      join(programs, 'initdb'),
      ['-D', folder, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
      { uid, gid, cwd: '/', encoding: 'utf8' },
    );
    if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
    const server = new PostgresServer(programs, folder, settings);
    await server.ready();
    return server;
  }

  /** The address of its database. */
  get url(): string {
    return `postgres:///postgres?user=postgres&host=${this.folder}`;
  }

  /** Crashes, and is gone until `resume`. */
  async halt(): Promise<void> {
    await this.end('QUIT\n');
  }

  async resume(): Promise<void> {
    this.keeper = this.launch();
    await this.ready();
  }

  /** Ends it, and removes its folder. */
  async stop(): Promise<void> {
    if (this.keeper.exitCode === null) await this.end('');
    else rmSync(this.folder, { recursive: true, force: true });
  }

  /**
   * Starts another server as a standby of this one, which from then on confirms no commit that the standby does not have
   * on its disk. This one restarts for it.
   */
  async addStandby(): Promise<PostgresServer> {
    const folder = newFolder();
    await this.end('INT\n');
    const copied = spawnSync('cp', ['-R', `${this.folder}/.`, folder], {
      ...unprivileged(),
      cwd: '/',
      encoding: 'utf8',
    });
    if (copied.status !== 0) throw new Error(`the server could not be copied: ${copied.stderr}`);
    appendFileSync(join(folder, 'standby.signal'), '');
    appendFileSync(join(folder, SETTINGS), `primary_conninfo = 'host=${this.folder} user=postgres'\n`);
    appendFileSync(join(this.folder, SETTINGS), `synchronous_standby_names = '*'\n`);
    await this.resume();
    const standby = new PostgresServer(this.programs, folder, this.settings);
    await standby.ready();
    return standby;
  }

  private launch(): ChildProcess {
    const args = ['-c', KEEPER, 'keeper', this.programs, this.folder, this.settings];
    return spawn('/bin/sh', args, {
      ...unprivileged(),
      cwd: '/',
      stdio: ['pipe', 'ignore', 'inherit'],
      detached: true,
    });
  }

  private async end(wish: string): Promise<void> {
    const ended = new Promise((resolve) => this.keeper.once('exit', resolve));
    this.keeper.stdin?.end(wish);
    await ended;
  }

  private async ready(): Promise<void> {
    for (;;) {
      const client = new pg.Client(this.url);
      client.on('error', () => undefined);
      try {
        await client.connect();
        await client.end();
        return;
      } catch (error) {
        if (this.keeper.exitCode !== null) {
          throw new Error(`the server ended: ${readFileSync(join(this.folder, 'log'), 'utf8')}`, { cause: error });
        }
        await delay(20);
      }
    }
  }
}

/** A folder that only the user of the server can read. */
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'postgres-'));
  chmodSync(folder, 0o700);
  const { uid, gid } = unprivileged();
  if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid);
  return folder;
}

/** A server does not run as root. */
export function unprivileged(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  for (const user of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((what) => Number(spawnSync('id', [what, user], { encoding: 'utf8' }).stdout));
    if (uid && gid) return { uid, gid };
  }
  throw new Error('There is neither a user postgres nor a user nobody to run the server for the tests.');
}
