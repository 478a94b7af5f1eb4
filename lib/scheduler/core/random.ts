import { randomFillSync } from 'node:crypto';

/** Numbers from 0 to below 1, evenly spread: of ids and of the jitter of backoffs. */
export type Random = () => number;

const BYTES_PER_NUMBER = 6;

/** Random numbers that nobody can guess, for production. Tests and simulations hand in a seeded one. */
export function secureRandom(): Random {
  const pool = Buffer.alloc(BYTES_PER_NUMBER * 512);
  let used = pool.length;
  return () => {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    const value = pool.readUIntBE(used, BYTES_PER_NUMBER);
    used += BYTES_PER_NUMBER;
    return value / 2 ** (8 * BYTES_PER_NUMBER);
  };
}
