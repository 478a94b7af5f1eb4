import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { constants } from 'node:os';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { ConfigurationError } from '../errors/index.js';
import { generateKeyPair } from '../signature/index.js';
import { StandaloneScheduler } from '../standalone/index.js';
import { lineDisplay, liveDisplay, type CallDisplay } from './call.display.js';
import type { Actions } from './command.line.js';
import { count } from './option.values.js';
import type { Output } from './output.js';

interface RunOptions {
  readonly store: string;
  readonly port: number;
  readonly endpoint?: string;
}

/** While one develops, applications come and go: what failed is made again soon. */
const LONGEST_BACKOFF = 5_000;
const GRACE = 1_000;
/** What is passed on; a terminal itself sends SIGINT to all that run in it. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const HELP = `
The command gets DISPATCH_API_URL, DISPATCH_API_KEY, DISPATCH_ENDPOINT_URL and DISPATCH_VERIFICATION_KEY. Without
--endpoint the application fetches its runs (bridge://), so that it needs no port. Calls are kept for the next time; remove
the file, or give --store memory:, to begin anew.

Examples:
  $ nestjs-dispatch run -- npm run start:dev
  $ nestjs-dispatch run --endpoint http://localhost:3000 -- node dist/main.js`;

export function addRun(program: Command, actions: Actions): void {
  program
    .command('run')
    .summary('run an application with a scheduler beside it, for development')
    .description('Starts a scheduler, runs a command that is to use it, and shows the calls. Ends with the command.')
    .argument('<command...>', 'what to run, after --')
    .option('--store <store>', 'where calls are kept', './.dispatch/run.db')
    .option('--port <number>', 'port of the scheduler; 0: any that is free', count('--port', 0, 65_535), 0)
    .option('--endpoint <address>', 'where the application listens (default: it fetches its runs)')
    .addHelpText('after', HELP)
    .action(actions((output, command: string[], options: RunOptions) => run(output, command, options)));
}

/** Resolves with the code that the command has ended with. */
async function run(output: Output, [file = '', ...args]: string[], options: RunOptions): Promise<number> {
  const isLive = process.stderr.isTTY && process.stdout.isTTY && process.env['TERM'] !== 'dumb';
  const display = isLive ? liveDisplay(process.stderr) : lineDisplay(process.stderr);
  const keys = generateKeyPair();
  const apiKey = `sk_${randomBytes(24).toString('base64url')}`;
  const print = (line: string): void => display.print(`${line}\n`);
  const scheduler = new StandaloneScheduler({
    store: options.store,
    port: options.port,
    dev: true,
    apiKeys: [apiKey],
    signingKey: keys.privateKey,
    retry: { max: LONGEST_BACKOFF },
    observer: display.tree,
    log: { log: print, warn: print, error: print },
  });
  try {
    await scheduler.start();
    const out = isLive ? output.to({ write: (text) => display.print(text) }) : output;
    out.result({ url: scheduler.url }, () => `Scheduler on ${scheduler.url}, store ${options.store}`);
    const child = spawn(file, args, {
      // What shares the terminal with a display that is drawn anew goes through it.
      stdio: isLive ? ['inherit', 'pipe', 'pipe'] : 'inherit',
      shell: process.platform === 'win32',
      env: {
        ...process.env,
        ...(isLive && colours(process.env)),
        DISPATCH_API_URL: scheduler.url,
        DISPATCH_API_KEY: apiKey,
        DISPATCH_ENDPOINT_URL: options.endpoint ?? `bridge://${bridgeOf(process.cwd())}`,
        DISPATCH_VERIFICATION_KEY: keys.publicKeyBase64,
      },
    });
    return await ended(child, file, display);
  } finally {
    await scheduler.stop(GRACE);
    display.end();
  }
}

async function ended(child: ChildProcess, file: string, display: CallDisplay): Promise<number> {
  child.stdout?.setEncoding('utf8').on('data', (text: string) => display.print(text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => display.print(text));
  const pass = (signal: NodeJS.Signals): void => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, pass);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', (error) =>
        reject(new ConfigurationError(`${file} cannot be run: ${error.message}`, { cause: error })),
      );
      // When its output has been read as well.
      child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  } finally {
    for (const signal of SIGNALS) process.off(signal, pass);
  }
}

/** The command sees a pipe, and would have no colours; who wants none says so. */
function colours({ NO_COLOR, FORCE_COLOR }: NodeJS.ProcessEnv): { FORCE_COLOR?: string } {
  return NO_COLOR || FORCE_COLOR !== undefined ? {} : { FORCE_COLOR: '1' };
}

/** The same name each time, so that calls of an earlier run find their application. */
const bridgeOf = (folder: string): string =>
  basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-') || 'app';
