/**
 * Where the thread of a store begins: opens its database, and answers what is asked of it, in order. It starts quickly because
 * it loads nothing else: messages are encoded and decoded on the other side.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { answer } from './database.handle.js';
import { toMessage, type DatabaseLocation, type DatabaseRequest, type DatabaseResponse } from './database.messages.js';
import { Database } from './database.js';
import { loadDriver } from './driver.choice.js';
import type { Tape } from './tape.js';

const location = workerData as DatabaseLocation;
let database: Database | undefined;

parentPort?.on('message', (request: DatabaseRequest) => {
  void carryOut(request).then((response) => parentPort?.postMessage(response));
});

async function carryOut({ number, method, args }: DatabaseRequest): Promise<DatabaseResponse> {
  try {
    return { number, value: await valueOf(method, args) };
  } catch (error) {
    return { number, error: toMessage(error) };
  }
}

async function valueOf(method: DatabaseRequest['method'], args: readonly unknown[]): Promise<unknown> {
  if (method === 'open') {
    const { driver, name, path, options } = location;
    database = Database.open(await loadDriver(driver), name, path, options);
    return undefined;
  }
  if (database === undefined) throw new Error('the database is not open');
  switch (method) {
    case 'commit':
      return database.commit(args[0] as Tape);
    case 'close':
      return database.close();
    default:
      // The other thread has the types.
      return answer(database, method, args as never);
  }
}
