import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export const round = (value: number, digits = 2): number => Number(value.toFixed(digits));

export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))] ?? 0;
}

export const median = (values: readonly number[]): number => percentile(values, 50);

/** Milliseconds that it takes. */
export async function timed(run: () => unknown): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

export async function repeat(times: number, run: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  for (let n = 0; n < times; n++) values.push(await run());
  return values;
}

/** Runs `count` of them, at most `callers` at once. */
export async function pool(count: number, callers: number, run: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < count) await run(next++);
  };
  await Promise.all(Array.from({ length: callers }, caller));
}

/** Bytes that this process has had written to the disk. */
export function bytesWritten(): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1] ?? NaN);
}

export interface Memory {
  readonly rssMb: number;
  readonly heapMb: number;
}

/** What is left after garbage collections. */
export const settledMemory = (): Promise<Memory> => memoryAfter({ type: 'major', execution: 'sync' });

/**
 * What is left once V8 has given back the pages that it keeps after a flood for the next one, as it does where memory is
 * short: a collection of the flavor `last-resort` takes that for granted. No application is to count on it.
 */
export const heldMemory = (): Promise<Memory> =>
  memoryAfter({ type: 'major', execution: 'sync', flavor: 'last-resort' });

async function memoryAfter(collection: object): Promise<Memory> {
  const { gc } = globalThis as { gc?: (options: object) => void };
  if (gc === undefined) throw new Error('Run it with --expose-gc.');
  for (let n = 0; n < 3; n++) {
    gc(collection);
    await delay(300);
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { rssMb: round(rss / 2 ** 20, 1), heapMb: round(heapUsed / 2 ** 20, 1) };
}

export type Figures = Record<string, number | string>;

export function print(name: string, figures: Figures): void {
  const text = Object.entries(figures).map(([what, value]) => `${what}: ${value}`);
  console.log(`${name} (Node ${process.versions.node})  ${text.join(' · ')}`);
}
