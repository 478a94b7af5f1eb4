import 'reflect-metadata';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { runAudit } from './audit.command.js';

const USAGE = 'Usage: node dist/sample/02-license-audit/main.js [path of a node_modules folder]';

const [given = 'node_modules', ...rest] = process.argv.slice(2);
const folder = resolve(given);
if (given === '--help' || given === '-h') {
  console.log(USAGE);
} else if (rest.length > 0 || given.startsWith('-')) {
  refuse('One folder is audited at a time.');
} else if (!(statSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false)) {
  refuse(`There is no folder ${folder}.`);
} else if (!(Number(process.env.AUDIT_PACE_MS ?? 0) >= 0)) {
  refuse('AUDIT_PACE_MS is no number of milliseconds.');
} else {
  await runAudit(folder, resolve(process.env.AUDIT_DATA ?? '.dispatch/license-audit'));
}

function refuse(reason: string): void {
  console.error(`${reason}\n${USAGE}`);
  process.exitCode = 2;
}
