import { afterEach, describe, expect, test } from '@jest/globals';
import { provide, World, type WorldOptions } from '../../support/durable-world.js';
import { seeded } from '../../support/seeded.js';
import { expected, Leaf, Programs, setLatency } from './programs.js';

const open: World[] = [];
afterEach(() => open.splice(0).forEach((world) => world.close()));

function world(options: WorldOptions): World {
  const leaf = new Leaf();
  const made = new World(provide(leaf, new Programs(leaf)), options);
  open.push(made);
  return made;
}

const everything = { lose: 0.15, repeat: 0.15, move: 0.4, reorder: 0.3, twice: 0.3, early: 0.2, late: 4 };

const ways: [name: string, options: WorldOptions, seeds: number][] = [
  ['live instances', {}, 1],
  ['live instances, plain protocol', { extended: false }, 1],
  ['every instance dropped after every poll', { runtime: { replay: 'always' } }, 3],
  ['every instance dropped, plain protocol', { extended: false, runtime: { replay: 'always' } }, 3],
  ['results late and in another order', { faults: { reorder: 0.7, late: 6 } }, 6],
  ['results twice', { faults: { twice: 0.7, late: 3 } }, 4],
  ['wake-ups with nothing', { faults: { early: 0.5 } }, 4],
  ['answers lost and requests repeated', { faults: { lose: 0.3, repeat: 0.3 } }, 6],
  ['everything goes wrong, three processes', { processes: 3, faults: everything }, 12],
  ['everything goes wrong, plain protocol', { processes: 3, faults: everything, extended: false }, 12],
];

describe.each(ways)('%s', (_name, options, seeds) => {
  test.each(expected)('%s(%j)', async (name, args, result) => {
    for (let seed = 1; seed <= seeds; seed++) {
      const random = seeded(seed * 7919);
      setLatency(() => Math.floor(random() * 8));
      const outcome = await world({ ...options, seed }).execute(`Programs.${name}`, ...args);
      expect({ seed, outcome }).toEqual({ seed, outcome: result });
    }
  });
});
