import { Command, CommanderError } from 'commander';
import { createRequire } from 'node:module';
import { ConfigurationError } from '../errors/index.js';
import { addCalls } from './calls.command.js';
import { addDoctor } from './doctor.command.js';
import { ExitCode, exitCodeOf } from './exit.codes.js';
import { addKeys } from './keys.command.js';
import { addMigrate } from './migrate.command.js';
import { Output, type Writable } from './output.js';
import { addRun } from './run.command.js';
import { addServe } from './serve.command.js';

/** Makes an action of a command out of what does its work: it gets the options, and where to print; it may return an exit code. */
export type Actions = <A extends unknown[]>(
  work: (output: Output, ...args: A) => Promise<number | void>,
) => (...args: A) => Promise<void>;

const EXAMPLES = `
Examples:
  $ nestjs-dispatch serve --store ./dispatch.db --signing-key @signing.key --api-key @api.keys
  $ nestjs-dispatch run -- npm run start:dev
  $ nestjs-dispatch keys generate
  $ nestjs-dispatch calls list --state failed
  $ nestjs-dispatch doctor

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 no such call, 4 scheduler or store not available, 5 API key refused;
'run' ends with the code of its command.`;

const packageVersion = (): string =>
  (createRequire(import.meta.url)('nestjs-dispatch/package.json') as { version: string }).version;

const usageError = ({ code, message }: CommanderError): ConfigurationError =>
  new ConfigurationError(
    code === 'commander.help'
      ? 'a command is missing: --help shows those that there are'
      : message.replace(/^error: /, ''),
  );

/** Runs one command; resolves with the code to exit with. */
export async function runCommandLine(
  args: readonly string[],
  { out, err }: { readonly out: Writable; readonly err: Writable } = { out: process.stdout, err: process.stderr },
): Promise<number> {
  let code: number = ExitCode.DONE;
  // Asked before all options are read, as what is wrong may be one of them. What follows `--` is for another command.
  const end = args.indexOf('--');
  const isJson = (end < 0 ? args : args.slice(0, end)).includes('--json');
  const program = new Command('nestjs-dispatch')
    .description('Durable functions: a scheduler of your own, and a look into it.')
    .option('--json', 'print JSON, a value a line, and errors as JSON to stderr')
    .addHelpText('after', EXAMPLES)
    .showHelpAfterError('(add --help for what there is)')
    .version(packageVersion(), '-V, --version', 'print the version')
    .configureOutput({
      writeOut: (text) => out.write(text),
      writeErr: (text) => err.write(text),
      // Told as JSON below.
      ...(isJson && { outputError: () => undefined, writeErr: () => undefined }),
    })
    .exitOverride();
  const output = (): Output => new Output(isJson, out, err);
  const actions: Actions =
    (work) =>
    async (...args) => {
      code = (await work(output(), ...args)) ?? ExitCode.DONE;
    };
  addServe(program, actions);
  addRun(program, actions);
  addCalls(program, actions);
  addKeys(program, actions);
  addMigrate(program, actions);
  addDoctor(program, actions);
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) output().error(error);
    // Else Commander has said itself what is wrong.
    else if (isJson && error.exitCode !== 0) output().error(usageError(error));
    return exitCodeOf(error);
  }
}
