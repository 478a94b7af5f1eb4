import type { SchedulerLog } from '../scheduler/index.js';

export interface Writable {
  write(text: string): unknown;
}

/** What a command prints: text for people, or JSON for programs, a value a line. */
export class Output {
  constructor(
    private readonly isJson: boolean,
    private readonly out: Writable,
    private readonly err: Writable,
  ) {}

  /** The same, with its results elsewhere. */
  to(out: Writable): Output {
    return new Output(this.isJson, out, this.err);
  }

  /** The result of a command. */
  result(value: unknown, text: () => string): void {
    this.out.write(`${this.isJson ? JSON.stringify(value, jsonValue) : text()}\n`);
  }

  error(error: unknown): void {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    this.err.write(`${this.isJson ? JSON.stringify({ error: { type: name, message } }) : message}\n`);
  }

  /** A log, to stderr: the results of a command stay apart from it. */
  log(): SchedulerLog {
    const write = (level: string) => (message: string) => {
      const time = new Date().toISOString();
      this.err.write(
        this.isJson ? `${JSON.stringify({ time, level, message })}\n` : `${time} ${level.padEnd(5)} ${message}\n`,
      );
    };
    return { log: write('log'), warn: write('warn'), error: write('error') };
  }
}

/** Columns as wide as their longest cell; the last one as it is. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('  ');
  return [head, ...rows].map(line).join('\n');
}

/** Results hold what JSON has no form for. */
function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Map) return Object.fromEntries(value as Map<string, unknown>);
  if (value instanceof Set) return [...(value as Set<unknown>)];
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return value;
}
