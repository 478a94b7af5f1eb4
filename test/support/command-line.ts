import { runCommandLine } from '../../lib/cli/command.line.js';

export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command of the command line in this process, and collects what it prints. */
export async function command(...args: string[]): Promise<CommandResult> {
  const printed = { out: '', err: '' };
  const code = await runCommandLine(args, {
    out: { write: (text: string) => (printed.out += text) },
    err: { write: (text: string) => (printed.err += text) },
  });
  return { code, ...printed };
}

/** The same with `--json`, its output read. It is to succeed. */
export async function commandJson<T = Record<string, unknown>>(...args: string[]): Promise<T> {
  const { code, out, err } = await command(...args, '--json');
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${err}`);
  return JSON.parse(out) as T;
}
