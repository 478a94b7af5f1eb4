/**
 * Has a fleet on PostgreSQL carry out trees of calls under faults: `npm run test:jepsen -- [--seed N] [--calls 20000]
 * [--processes 4] [--failover] [--pooler]`. The seed decides the trees and the faults, not the moments at which these strike.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runCampaign, Stalled, type Outcome } from './campaign.js';
import { FAULTS } from './nemesis.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    calls: { type: 'string', default: '20000' },
    processes: { type: 'string', default: '4' },
    /** A synchronous standby takes the server's place in the middle. */
    failover: { type: 'boolean', default: false },
    /** Through PgBouncer in session mode, which has to be installed. */
    pooler: { type: 'boolean', default: false },
    /** Writes down what happened, also when nothing was wrong. */
    history: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);
console.log(`seed ${seed}`);
try {
  const outcome = await runCampaign({
    seed,
    calls: Number(values.calls),
    processes: Number(values.processes),
    failover: values.failover,
    pooler: values.pooler,
    say: (line) => console.log(line),
  });
  report(outcome);
  if (values.history || outcome.wrong.length > 0) keep(outcome.history);
} catch (error) {
  process.exitCode = 1;
  console.error(error instanceof Stalled ? error.message : error);
  if (error instanceof Stalled) keep(error.history.lines);
}

function report({ wrong, faults, roots, calls, refusals, members, repeated }: Outcome): void {
  for (const [fault, count] of Object.entries(faults)) {
    console.log(`${String(count).padStart(6)} × ${fault}: ${FAULTS[fault as keyof typeof FAULTS]}`);
  }
  console.log(`${calls} calls in ${roots} trees, by ${members} processes one after the other`);
  console.log(
    `${refusals} commits of processes that counted as dead were refused; ${repeated} calls ran more than once`,
  );
  for (const line of wrong) console.error(`WRONG: ${line}`);
  console.log(
    wrong.length === 0 ? 'Nothing was lost, and nothing was recorded twice.' : `${wrong.length} things are wrong.`,
  );
  process.exitCode = wrong.length === 0 ? 0 : 1;
}

function keep(history: readonly string[]): void {
  const file = join(mkdtempSync(join(tmpdir(), 'jepsen-')), 'history.txt');
  writeFileSync(file, `${history.join('\n')}\n`);
  console.log(`What happened: ${file}`);
}
