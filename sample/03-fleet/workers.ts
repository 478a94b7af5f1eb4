import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Processes of this application that do its work: one that ends is replaced. */
export class Workers {
  killed = 0;
  private readonly starting = new Set<ChildProcess>();
  /** The one that has been there longest is the first. */
  private readonly working: ChildProcess[] = [];
  private isEnding = false;

  private constructor(private readonly database: string) {}

  /** Resolves once all of them are at work. */
  static async start(count: number, database: string): Promise<Workers> {
    const workers = new Workers(database);
    await Promise.all(Array.from({ length: count }, () => once(workers.startOne(), 'message')));
    return workers;
  }

  /** Ends one as a machine that fails would, unless the former one has not been replaced yet. */
  killOne(): void {
    if (this.starting.size > 0) return;
    if (this.working[0]?.kill('SIGKILL')) this.killed += 1;
  }

  /** Ends all of them in order. */
  async end(): Promise<void> {
    this.isEnding = true;
    await Promise.all(
      [...this.starting, ...this.working].map(async (worker) => {
        const ended = once(worker, 'exit');
        if (worker.connected) worker.disconnect();
        await ended;
      }),
    );
  }

  private startOne(): ChildProcess {
    const [, main = ''] = process.argv;
    const worker = spawn(process.execPath, [...process.execArgv, main, 'worker', this.database], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.starting.add(worker);
    worker.once('message', () => {
      this.starting.delete(worker);
      this.working.push(worker);
    });
    worker.once('exit', () => {
      this.starting.delete(worker);
      if (this.working.includes(worker)) this.working.splice(this.working.indexOf(worker), 1);
      if (!this.isEnding) this.startOne();
    });
    return worker;
  }
}
