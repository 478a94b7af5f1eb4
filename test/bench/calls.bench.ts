/**
 * What an application gets on the SQLite store, with fsync before every acknowledgement. Run it with Node 24 (`node:sqlite`)
 * and with Node 20 (`libsql`), on a machine that does nothing else:
 *
 *   node --expose-gc --import ./test/support/ts-loader.mjs test/bench/calls.bench.ts [W1 … W10]
 *
 * Every workload runs in a process of its own.
 *
 * W1 10,000 trivial calls, all completed and recorded: in batches of 1,000, and one by one from 100 callers; against a bare
 *    loop over the same driver, and the delay of the event loop meanwhile
 * W2 500 functions of 10 awaited calls at once · W3 one function of 100, 1,000 and 5,000 awaited calls,
 *    in turns with bare commits of the same rows
 * W4 a gather of 1,000 calls · W5 one call on an idle system · W6 20,000 functions asleep
 * W7 a function with 2,000 finished steps after a SIGKILL: its next step · W8 one function of 1,000 and 10,000 awaited calls:
 *    time and bytes written for each, and with every live instance dropped in the middle
 * W9 trivial calls with 1,000,000 finished ones in the store · W10 100,000 functions asleep
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const all = ['W1', 'W2', 'W3', 'W4', 'W5', 'W6', 'W7', 'W8', 'W9', 'W10'];
const selected = process.argv.slice(2).map((name) => name.toUpperCase());
const unknown = selected.filter((name) => !all.includes(name));
if (unknown.length > 0) throw new Error(`There is no workload ${unknown.join(', ')}: give some of ${all.join(' ')}.`);

for (const name of selected.length > 0 ? selected : all) {
  const file = fileURLToPath(new URL('./calls/workload.ts', import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, file, name], { stdio: 'inherit' });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  if (code !== 0) process.exitCode = 1;
}
