import { TypeScriptProcess } from '../support/typescript-process.js';
import { Deferred } from '../unit/scheduler/world.js';
import type { Gate } from './gate.js';
import type { History } from './history.js';

export interface MachineParts {
  readonly number: number;
  readonly gate: Gate;
  readonly history: History;
  /** Of the application: address of the store, lease, seed, schema of the record. */
  readonly args: readonly string[];
  readonly onAcknowledged: (root: number, id: string) => void;
  readonly onAnswered: () => void;
}

/** Keeps a process of the fleet running: one that was killed is replaced, and is asked what the former has not answered. */
export class Machine {
  readonly number: number;
  readonly gate: Gate;
  private process: TypeScriptProcess | undefined;
  private readonly unanswered = new Set<string>();
  private isKilled = false;
  private isEnding = false;
  private ready = new Deferred<void>();
  private readonly over: Promise<void>;

  constructor(private readonly parts: MachineParts) {
    this.number = parts.number;
    this.gate = parts.gate;
    this.over = this.keepRunning();
  }

  /** What has no answer yet. */
  get questions(): readonly string[] {
    return [...this.unanswered];
  }

  get pid(): number | undefined {
    return this.process?.pid;
  }

  started(): Promise<void> {
    return this.ready.promise;
  }

  dispatch(root: number): void {
    this.ask(`dispatch ${root}`);
  }

  wait(id: string): void {
    this.ask(`wait ${id}`);
  }

  /** Kills the process. Another takes its place. */
  kill(): void {
    this.isKilled = true;
    this.ready = new Deferred();
    this.signal('SIGKILL');
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.process?.signal(signal);
  }

  /** Ends the process in order, and for good. */
  async end(): Promise<void> {
    this.isEnding = true;
    this.process?.endInput();
    await this.over;
    this.gate.close();
  }

  /** Ends it in any case. */
  async destroy(): Promise<void> {
    this.isEnding = true;
    if (this.process) this.kill();
    await this.over;
    this.gate.close();
  }

  private ask(question: string): void {
    this.unanswered.add(question);
    this.process?.write(question);
  }

  private async keepRunning(): Promise<void> {
    while (!this.isEnding) {
      this.isKilled = false;
      const code = await this.run();
      if (this.isKilled || (this.isEnding && code === 0)) continue;
      this.parts.history.died(this.number, code);
      // Nobody may be waiting for it.
      this.ready.promise.catch(() => undefined);
      this.ready.reject(new Error(this.parts.history.deaths.at(-1)));
    }
  }

  private async run(): Promise<number | null> {
    const { history, args } = this.parts;
    const started = new TypeScriptProcess(new URL('application.ts', import.meta.url), args);
    started.errors.unpipe(process.stderr);
    started.errors.setEncoding('utf8').on('data', (text: string) => history.note(this.number, text.trimEnd()));
    this.process = started;
    history.note(this.number, `process ${started.pid}`);
    for (const question of this.unanswered) started.write(question);
    for (let line = await started.line(); line !== undefined; line = await started.line()) this.hear(line);
    const code = await started.ended;
    this.process = undefined;
    return code;
  }

  private hear(line: string): void {
    const { history, onAcknowledged, onAnswered } = this.parts;
    const [what = '', subject = '', rest = ''] = splitTwice(line);
    switch (what) {
      case 'ready':
        return this.ready.resolve();
      case 'refused':
        return history.refuse(this.number);
      case 'acknowledged':
        this.unanswered.delete(`dispatch ${subject}`);
        if (history.acknowledge(Number(subject), rest, this.number)) onAcknowledged(Number(subject), rest);
        return;
      case 'result':
        this.unanswered.delete(`wait ${subject}`);
        history.answer(subject, rest, this.number);
        return onAnswered();
      default:
        history.note(this.number, line);
    }
  }
}

function splitTwice(line: string): string[] {
  const [first = '', second = ''] = line.split(' ', 2);
  return [first, second, line.slice(first.length + second.length + 2)];
}
