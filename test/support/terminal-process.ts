import { spawn, type IPty } from '@lydell/node-pty';
import { setTimeout as delay } from 'node:timers/promises';
import { compiled } from './compiled.js';
import { Screen } from './screen.js';

/** A process that runs a TypeScript file in a terminal of its own, as a user would start it. */
export class TerminalProcess {
  readonly screen: Screen;
  readonly ended: Promise<number>;
  private readonly pty: IPty;
  private hasEnded = false;

  /** @param script a URL, from `new URL('x.ts', import.meta.url)` */
  constructor(script: URL, args: readonly string[], env: Record<string, string> = {}, columns = 100, rows = 30) {
    this.screen = new Screen(columns, rows, { lineFeeds: false });
    const { JEST_WORKER_ID: _worker, NODE_ENV: _env, NO_COLOR: _no, FORCE_COLOR: _force, ...inherited } = process.env;
    this.pty = spawn(process.execPath, ['--no-warnings', '--import', 'reflect-metadata', compiled(script), ...args], {
      cols: columns,
      rows,
      env: { ...inherited, TERM: 'xterm-256color', ...env },
    });
    this.pty.onData((text) => this.screen.write(text));
    this.ended = new Promise((resolve) =>
      this.pty.onExit(({ exitCode }) => {
        this.hasEnded = true;
        resolve(exitCode);
      }),
    );
  }

  /** Types: `'\u0003'` is Ctrl-C. */
  type(keys: string): void {
    this.pty.write(keys);
  }

  resize(columns: number, rows: number): void {
    this.screen.resize(columns, rows);
    this.pty.resize(columns, rows);
  }

  /** What the terminal shows, as soon as it fits. */
  async shows(fits: (lines: string[]) => boolean): Promise<string[]> {
    for (;;) {
      const lines = await this.screen.lines();
      if (fits(lines)) return lines;
      if (this.hasEnded) throw new Error(`the process ended, and the terminal shows:\n${lines.join('\n')}`);
      await delay(20);
    }
  }

  kill(): void {
    if (!this.hasEnded) this.pty.kill('SIGKILL');
  }
}
