/**
 * Runs simulations: `npm run simulate -- --seeds 100000 [--from 1]`, or a single one with its trace:
 * `npm run simulate -- --seed 123 [--trace]`. With `--fleet`, of several processes that share a store.
 */
import { parseArgs } from 'node:util';
import { FleetWorld } from './fleet/fleet-world.js';
import { Violation } from './trace.js';
import { World } from './world.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
    /** Goes on after a seed that fails. */
    all: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    /** Several processes on one store. */
    fleet: { type: 'boolean', default: false },
  },
});
const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const begun = performance.now();
const failed: number[] = [];
let events = 0;
for (let seed = first; seed < first + count; seed++) {
  const world = values.fleet ? new FleetWorld(seed) : new World(seed);
  try {
    await world.run();
  } catch (error) {
    failed.push(seed);
    console.error(error instanceof Violation ? error.message : error);
  } finally {
    events += world.events;
  }
  if (values.trace) for (const line of world.trace.lines()) process.stdout.write(`${line}\n`);
  const done = seed - first + 1;
  if (failed.length > 0 && !values.all) break;
  if (done % 500 === 0) console.log(`${done} seeds, ${failed.length} failed, ${seconds()} s`);
}
const text = failed.length === 0 ? 'none failed' : `failed: ${failed.slice(0, 50).join(' ')}`;
console.log(`${count} seeds from ${first}, ${events} events, ${seconds()} s: ${text}`);
process.exitCode = failed.length === 0 ? 0 : 1;

function seconds(): string {
  return ((performance.now() - begun) / 1000).toFixed(1);
}
