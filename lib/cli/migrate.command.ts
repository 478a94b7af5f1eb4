import { Option, type Command } from 'commander';
import { migrate } from '../scheduler/index.js';
import { storeName, usingStore } from './call.source.js';
import type { Actions } from './command.line.js';

const HELP = `
Examples:
  $ nestjs-dispatch migrate --store ./.dispatch/dispatch.db
  $ nestjs-dispatch migrate --store postgres://dispatch@db.example.com/app`;

export function addMigrate(program: Command, actions: Actions): void {
  program
    .command('migrate')
    .summary('bring the tables of a store to this version')
    .description('Brings the tables of a store to this version, and makes them where there are none.')
    .addOption(
      new Option('--store <store>', 'a file, or postgres://…').env('DISPATCH_STORE').default('./.dispatch/dispatch.db'),
    )
    .addHelpText('after', HELP)
    .action(
      actions(async (output, options: { store: string }) => {
        if (/^postgres(ql)?:/i.test(options.store)) await migrate(options.store);
        else await usingStore(options.store, () => Promise.resolve());
        const store = storeName(options.store);
        output.result({ store }, () => `${store} is up to date.`);
      }),
    );
}
