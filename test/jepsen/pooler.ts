import { spawn, type ChildProcess } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { unprivileged } from '../support/postgres.server.js';
import type { Place } from '../support/wire.js';

/** PgBouncer in session mode, in front of a server of the test. */
export class Pooler {
  readonly place: Place;

  private constructor(
    private readonly folder: string,
    private readonly process: ChildProcess,
  ) {
    this.place = { path: join(folder, '.s.PGSQL.5432') };
  }

  /** @throws Error when there is no PgBouncer on this machine */
  static async start(server: Place): Promise<Pooler> {
    const folder = mkdtempSync(join(tmpdir(), 'pgbouncer-'));
    const { uid, gid } = unprivileged();
    if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid);
    writeFileSync(join(folder, 'pgbouncer.ini'), settings(folder, server));
    const started = spawn('pgbouncer', ['-q', join(folder, 'pgbouncer.ini')], { uid, gid, cwd: '/', stdio: 'ignore' });
    const ended = new Promise<string>((resolve) => {
      started.once('error', (error) => resolve(error.message));
      started.once('exit', (code) => resolve(`it ended with code ${code}`));
    });
    const pooler = new Pooler(folder, started);
    const failure = await Promise.race([ended, pooler.ready()]);
    if (failure === undefined) return pooler;
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`PgBouncer could not be started: ${failure}. Install it, or leave out --pooler.`);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGKILL');
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async ready(): Promise<undefined> {
    while (!(await this.answers())) await delay(20);
  }

  private answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.place, () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
  }
}

/** @see https://www.pgbouncer.org/config.html */
function settings(folder: string, server: Place): string {
  const place =
    'path' in server ? `host=${server.path.replace(/\/[^/]*$/, '')}` : `host=${server.host} port=${server.port}`;
  return `
[databases]
* = ${place} user=postgres
[pgbouncer]
pool_mode = session
default_pool_size = 200
max_client_conn = 500
listen_addr =
unix_socket_dir = ${folder}
listen_port = 5432
auth_type = any
`;
}
