import { afterAll, describe, it } from '@jest/globals';
import { text } from 'node:stream/consumers';
import { TypeScriptProcess } from '../support/typescript-process.js';

const SEEDS = Number(process.env.SIMULATED_SEEDS ?? 2_000);
/** Bounds what hangs, on machines of any speed: milliseconds. */
const LIMIT = 900_000;

/** Runs one half of the seeds, so that two of Jest's workers have one each. */
export function describeSeeds(half: 'first' | 'second'): void {
  const count = Math.ceil(SEEDS / 2);
  describeSimulation('a simulated process under faults', { from: half === 'first' ? 1 : 1 + count, count });
}

/** The same for several processes that share a store: a twentieth as many seeds. */
export function describeFleetSeeds(): void {
  const count = Math.ceil(SEEDS / 20);
  describeSimulation('a simulated fleet on one store', { from: 1, count, options: ['--fleet'] });
}

interface Simulation {
  readonly from: number;
  readonly count: number;
  readonly options?: readonly string[];
}

/** A process of its own does it, as `npm run simulate` would: in the contexts of Jest the same seeds take half as long again. */
function describeSimulation(name: string, { from, count, options = [] }: Simulation): void {
  describe(name, () => {
    let simulation: TypeScriptProcess | undefined;
    afterAll(() => simulation?.kill());

    it(
      `keeps all promises (${count} seeds from ${from})`,
      async () => {
        const args = ['--seeds', String(count), '--from', String(from), ...options];
        simulation = new TypeScriptProcess(new URL('main.ts', import.meta.url), args);
        const report = text(simulation.errors);
        if ((await simulation.ended) !== 0) throw new Error(await report);
      },
      LIMIT,
    );
  });
}
