import type { Command } from 'commander';
import type { Actions } from './command.line.js';
import { examine } from './diagnosis.js';
import { ExitCode } from './exit.codes.js';

const HELP = `
It reads the variables that applications and 'serve' read (DISPATCH_…), and changes nothing.

Examples:
  $ nestjs-dispatch doctor
  $ DISPATCH_API_URL=https://scheduler.example.com DISPATCH_API_KEY=sk_… nestjs-dispatch doctor --json`;

const SIGNS = { ok: '✓', warning: '!', failed: '✗' } as const;

export function addDoctor(program: Command, actions: Actions): void {
  program
    .command('doctor')
    .summary('find out what is wrong')
    .description('Checks the settings, keys, clock, store, scheduler and endpoint, and says what to do.')
    .addHelpText('after', HELP)
    .action(
      actions(async (output) => {
        const findings = await examine(process.env);
        output.result({ findings }, () =>
          findings.map(({ check, verdict, detail }) => `${SIGNS[verdict]} ${check.padEnd(10)} ${detail}`).join('\n'),
        );
        return findings.some(({ verdict }) => verdict === 'failed') ? ExitCode.FAILED : ExitCode.DONE;
      }),
    );
}
