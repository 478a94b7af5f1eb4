import { NestFactory } from '@nestjs/core';
import { setTimeout as delay } from 'node:timers/promises';
import { DispatchClient, type DispatchID } from 'nestjs-dispatch';
import { AppModule } from './app.module.js';
import { Ledger } from './ledger.js';
import { Shops, takings, TILLS } from './shops.js';
import { Workers } from './workers.js';

const WORKERS = 3;
const DAYS_PER_SECOND = 40;
const KILL_EVERY_MS = 3_000;

/**
 * Makes work for some seconds while the processes that do it are killed one after the other, and compares what came out
 * with what had to.
 *
 * @returns whether all totals are exact
 */
export async function runFleet(database: string, seconds: number): Promise<boolean> {
  // This process only dispatches and waits; it makes the tables before the others need them.
  const app = await NestFactory.createApplicationContext(AppModule.on(database, { run: false }), {
    logger: ['error', 'fatal'],
    abortOnError: false,
  });
  const ledger = app.get(Ledger);
  await ledger.open();
  const workers = await Workers.start(WORKERS, database);
  try {
    const results = await makeWork(app.get(DispatchClient), app.get(Shops), seconds, workers);
    return report(results, await ledger.sum(), workers.killed);
  } finally {
    await workers.end();
    await app.close();
  }
}

/** Dispatches day after day, killing processes all the while, and waits for all of them. */
async function makeWork(client: DispatchClient, shops: Shops, seconds: number, workers: Workers): Promise<number[]> {
  const results: Promise<number>[] = [];
  let closed = 0;
  const begun = performance.now();
  const elapsed = (): number => (performance.now() - begun) / 1_000;
  const killing = setInterval(() => workers.killOne(), KILL_EVERY_MS);
  const progress = setInterval(() => {
    console.log(
      `${elapsed().toFixed(0).padStart(3)} s: ${results.length} days, ${closed} of them closed; ` +
        `${workers.killed} processes killed`,
    );
  }, 2_000);
  try {
    while (elapsed() < seconds) {
      const id: DispatchID = await client.of(shops).closeDay(results.length).dispatch();
      results.push(client.wait<number>(id).finally(() => (closed += 1)));
      await delay(1_000 / DAYS_PER_SECOND);
    }
    clearInterval(killing);
    return await Promise.all(results);
  } finally {
    clearInterval(killing);
    clearInterval(progress);
  }
}

function report(results: readonly number[], ledger: { entries: number; cents: number }, killed: number): boolean {
  const expected = results.reduce((sum, _, day) => sum + totalOf(day), 0);
  const returned = results.reduce((sum, cents) => sum + cents, 0);
  const wrong = results.filter((cents, day) => cents !== totalOf(day)).length;
  const entries = results.length * TILLS;
  console.log(`
${results.length} days, ${entries} tills, ${killed} processes killed
  expected   ${euros(expected)}
  returned   ${euros(returned)}, ${wrong} days differ
  in ledger  ${euros(ledger.cents)}, ${ledger.entries} entries`);
  const isExact = wrong === 0 && ledger.cents === expected && ledger.entries === entries;
  console.log(isExact ? 'Exact.' : 'NOT exact.');
  return isExact;
}

const totalOf = (day: number): number =>
  Array.from({ length: TILLS }, (_, till) => takings(day, till)).reduce((sum, cents) => sum + cents, 0);

const euros = (cents: number): string => `${(cents / 100).toFixed(2).padStart(14)} EUR`;
