import 'reflect-metadata';
import { PostgresServer } from '../../test/support/postgres.server.js';
import { runFleet } from './fleet.command.js';
import { runWorker } from './worker.command.js';

const SECONDS = Number(process.env.FLEET_SECONDS ?? 20);

const [command, database = ''] = process.argv.slice(2);
if (command === 'worker') {
  await runWorker(database);
} else if (!(SECONDS > 0)) {
  refuse('FLEET_SECONDS is no number of seconds.');
} else {
  await run();
}

async function run(): Promise<void> {
  const given = process.env.DISPATCH_STORE;
  if (given !== undefined && !/^postgres(ql)?:/.test(given)) {
    return refuse(
      'DISPATCH_STORE is no address of PostgreSQL, which a fleet needs: postgres://user:password@host/database',
    );
  }
  const server = given === undefined ? await startServer() : undefined;
  try {
    const address = server?.url ?? given;
    if (address !== undefined && !(await runFleet(address, SECONDS))) process.exitCode = 1;
  } catch (error) {
    refuse(`The fleet has failed: ${messageOf(error)}`, 1);
  } finally {
    await server?.stop();
  }
}

/** A server of the machine, or the one that npm has, in a temporary folder. */
async function startServer(): Promise<PostgresServer | undefined> {
  try {
    return await PostgresServer.start('-c fsync=on');
  } catch (error) {
    refuse(
      'There is no PostgreSQL here that could be started. Install it, or give the address of one: ' +
        `DISPATCH_STORE=postgres://user:password@host/database npm run start:fleet\n${messageOf(error)}`,
    );
    return undefined;
  }
}

function refuse(reason: string, code = 2): void {
  console.error(reason);
  process.exitCode = code;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
