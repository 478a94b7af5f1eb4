/**
 * An application of a fleet that is measured: `application.ts <address of the store> [dispatches]`. It prints `ready`, and
 * does what its standard input says: `calls <n>` prints the milliseconds in which n trivial calls were dispatched, 1,000 at
 * a time, and all results seen; `singles <n>` those of n calls, one after the other; `processor` its microseconds so far.
 */
import { createInterface } from 'node:readline';
import { pool, timed } from '../calls/measure.js';
import { startApp } from '../calls/app.js';

const BATCH = 1_000;
const [store = '', only] = process.argv.slice(2);

const scheduler = { store, retention: Number(process.env.RETENTION_MS ?? 7 * 86_400_000) };
const { app, client, work } = await startApp(store, {
  scheduler: only === 'dispatches' ? { ...scheduler, run: false } : scheduler,
});

async function calls(count: number): Promise<void> {
  const batches = Math.ceil(count / BATCH);
  await pool(batches, 10, async (n) => {
    const size = Math.min(BATCH, count - n * BATCH);
    const results = await client.gather(Array.from({ length: size }, (_, i) => work.trivial(i)));
    if (results.at(-1) !== size - 1) throw new Error(`the last result is ${String(results.at(-1))}`);
  });
}

async function singles(count: number): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < count; n++) times.push(await timed(() => client.call(work.trivial(n))));
  return times;
}

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [command = '', argument = ''] = line.split(' ');
  if (command === 'calls') console.log(`done ${await timed(() => calls(Number(argument)))}`);
  if (command === 'singles') console.log(`done ${(await singles(Number(argument))).join(' ')}`);
  if (command === 'processor') {
    const { user, system } = process.cpuUsage();
    console.log(`done ${user + system}`);
  }
}
await app.close();
