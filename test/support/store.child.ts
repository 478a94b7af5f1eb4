/**
 * A process that owns a SQLite store, for tests that kill it: `store.child.ts <path> <driver> <lock timeout> <hold | write>`.
 * It prints `open` or the name of the error, and with `write` the number of each commit that was acknowledged.
 */
import type { SqliteDriverName } from '../../lib/scheduler/stores/sqlite/driver.js';
import { SqliteStore } from '../../lib/scheduler/stores/index.js';
import { appended, idOf, rootCall } from '../contract/calls.js';

const [path = '', driver, lockTimeout, task] = process.argv.slice(2);
const store = new SqliteStore(path, { driver: driver as SqliteDriverName, lockTimeout: Number(lockTimeout) });
try {
  await store.open();
  console.log('open');
  process.stdin.on('end', () => void store.close().then(() => console.log('closed'))).resume();
  if (task === 'write') await write();
} catch (error) {
  console.log(error instanceof Error ? error.name : 'unknown');
}

/** Each commit makes two calls: both are there after a crash, or none. */
async function write(): Promise<void> {
  const { calls } = await store.recover();
  for (let n = calls.length / 2; ; n++) {
    const [first, second] = [idOf(2 * n), idOf(2 * n + 1)];
    store.markRunning([first], n === 0 ? [] : [idOf(2 * n - 2)]);
    await store.commit([rootCall(first), appended(first, `journal of ${first}`), rootCall(second)]);
    await new Promise((resolve) => process.stdout.write(`${n}\n`, resolve));
  }
}
