import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { compiled } from './compiled.js';

/** A process of its own that runs a TypeScript file: what it prints is read line by line. */
export class TypeScriptProcess {
  readonly pid: number;
  readonly ended: Promise<number | null>;
  /** What it writes to stderr, which is passed on as well. */
  readonly errors: Readable;
  private readonly child: ChildProcessWithoutNullStreams;
  /** What it has printed and nobody has read: read at once, so that it never waits for a reader. */
  private readonly printed: string[] = [];
  private isOver = false;
  private readers: (() => void)[] = [];

  /** @param script a URL, from `new URL('x.ts', import.meta.url)` */
  constructor(script: URL, args: readonly string[] = [], env: Record<string, string> = {}) {
    // What Jest sets for its workers is not for the processes that it tests.
    const { JEST_WORKER_ID: _worker, NODE_ENV: _env, ...inherited } = process.env;
    this.child = spawn(process.execPath, ['--no-warnings', '--import', 'reflect-metadata', compiled(script), ...args], {
      env: { ...inherited, ...env },
    });
    // What is written to a process that was killed is lost with it.
    this.child.stdin.on('error', () => undefined);
    this.errors = this.child.stderr;
    this.errors.pipe(process.stderr);
    const lines = createInterface({ input: this.child.stdout });
    lines.on('line', (line) => {
      this.printed.push(line);
      this.wakeReaders();
    });
    lines.once('close', () => {
      this.isOver = true;
      this.wakeReaders();
    });
    if (this.child.pid === undefined) throw new Error(`the process of ${script.pathname} did not start`);
    this.pid = this.child.pid;
    this.ended = new Promise((resolve) => this.child.once('exit', resolve));
  }

  /** The next line that it prints, undefined when it has ended. */
  async line(): Promise<string | undefined> {
    while (this.printed.length === 0 && !this.isOver) await new Promise<void>((wake) => this.readers.push(wake));
    return this.printed.shift();
  }

  /** Reads on to the first line that begins so. */
  async until(prefix: string): Promise<string> {
    const seen: string[] = [];
    for (let line = await this.line(); line !== undefined; line = await this.line()) {
      if (line.startsWith(prefix)) return line;
      seen.push(line);
    }
    throw new Error(`the process ended before it printed ${prefix}; it printed: ${seen.join('\n')}`);
  }

  /** Kills it as the kernel would; returns what it had printed until then. */
  async kill(): Promise<string[]> {
    this.child.kill('SIGKILL');
    return this.rest();
  }

  /** Asks it to end (SIGTERM). */
  async terminate(): Promise<string[]> {
    this.child.kill('SIGTERM');
    return this.rest();
  }

  /** Does nothing once it has ended. */
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  write(line: string): void {
    this.child.stdin.write(`${line}\n`);
  }

  /** Ends its standard input. */
  endInput(): void {
    this.child.stdin.end();
  }

  /** What it still prints, until it ends. */
  async rest(): Promise<string[]> {
    const lines: string[] = [];
    for (let line = await this.line(); line !== undefined; line = await this.line()) lines.push(line);
    await this.ended;
    return lines;
  }

  private wakeReaders(): void {
    const { readers } = this;
    this.readers = [];
    for (const wake of readers) wake();
  }
}
