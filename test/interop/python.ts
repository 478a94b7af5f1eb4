import { execFile, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const SCRIPTS = fileURLToPath(new URL('python/', import.meta.url));

/**
 * The SDK's last version, which names the oldest of its dependencies only. From its version 1 on,
 * http-message-signatures no longer brings the module http_sfv, which the SDK imports. The others are the frameworks that
 * it integrates with, and a server for the first.
 */
const PACKAGES = ['dispatch-py==0.8.0', 'http-message-signatures<1', 'fastapi<1', 'uvicorn<1', 'flask<4'];

/** A Python installation of its own that has the SDK. */
export class PythonSdk {
  private constructor(private readonly python: string) {}

  /** Makes it in a folder; rejects with what pip says when it cannot. */
  static async install(folder: string): Promise<PythonSdk> {
    await execute('python3', ['-m', 'venv', folder]);
    const python = join(folder, 'bin', 'python');
    await execute(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...PACKAGES]);
    return new PythonSdk(python);
  }

  /** What is installed: `dispatch-py==0.8.0` and so on. */
  async versions(): Promise<string[]> {
    const { stdout } = await execute(this.python, ['-m', 'pip', 'freeze', '--disable-pip-version-check']);
    return stdout.trim().split('\n');
  }

  /** Starts a script of `python/` and reads on to its address. */
  async serve(script: string, ...args: string[]): Promise<PythonServer> {
    const server = new PythonServer(spawn(this.python, [join(SCRIPTS, script), ...args], { env: environment({}) }));
    await server.started();
    return server;
  }

  /** Runs a script of `python/` to its end; resolves with its last line. */
  async run(script: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
    const { stdout, stderr } = await execute(this.python, [join(SCRIPTS, script), ...args], { env: environment(env) });
    const last = stdout.trim().split('\n').at(-1);
    if (last === undefined || last === '') throw new Error(`${script} printed nothing: ${stderr}`);
    return last;
  }
}

/** A process that serves HTTP. */
export class PythonServer {
  url = '';
  private readonly lines: string[] = [];
  private readonly errors: string[] = [];
  private readonly listeners = new Set<() => void>();
  private ended = false;

  constructor(private readonly child: ChildProcessWithoutNullStreams) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.lines.push(line);
      this.notify();
    });
    createInterface({ input: child.stderr }).on('line', (line) => this.errors.push(line));
    child.once('close', () => {
      this.ended = true;
      this.notify();
    });
  }

  async started(): Promise<void> {
    this.url = (await this.line('url ')).slice('url '.length);
  }

  /** The next line that begins so; those before it are dropped. */
  async line(prefix: string): Promise<string> {
    for (;;) {
      for (let line = this.lines.shift(); line !== undefined; line = this.lines.shift()) {
        if (line.startsWith(prefix)) return line;
      }
      if (this.ended) throw new Error(`the process ended before it printed ${prefix}:\n${this.errors.join('\n')}`);
      await new Promise<void>((resolve) => this.listeners.add(resolve));
    }
  }

  stop(): Promise<void> {
    return this.end(() => this.child.stdin.end());
  }

  /** As the kernel would. */
  kill(): Promise<void> {
    return this.end(() => this.child.kill('SIGKILL'));
  }

  private async end(how: () => unknown): Promise<void> {
    if (this.ended) return;
    const closed = new Promise((resolve) => this.child.once('close', resolve));
    how();
    await closed;
  }

  private notify(): void {
    for (const listener of this.listeners) listener();
    this.listeners.clear();
  }
}

/** The settings of whoever runs this are not for the processes. */
function environment(env: Record<string, string>): Record<string, string | undefined> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('DISPATCH_'));
  return { ...Object.fromEntries(inherited), PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1', ...env };
}
