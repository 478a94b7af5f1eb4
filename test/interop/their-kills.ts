import { deepEqual } from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateKeyPair } from '../../lib/signature/index.js';
import { freePort } from '../support/free-port.js';
import { TypeScriptProcess } from '../support/typescript-process.js';
import { startApplication } from './application.js';
import { idsOf, resultsOf, suspended } from './calls.js';
import type { PythonSdk } from './python.js';
import type { Scenarios } from './scenarios.js';

const API_KEY = 'sk_python_0123456789';
/** Parents that wait for a child while somebody is killed. */
const WAITING = 5;
/**
 * Others that are under way, where the application is killed too. Only there: a call that it has ended once, and that is
 * run again because the answer was lost, it answers with HTTP status 500 until it is started again.
 */
const GATHERING = 5;
const PAIRS = 25;
/** Processes are started, and an endpoint that was away is tried every few seconds: milliseconds. */
const LIMIT = 60_000;

/** Kills of the standalone scheduler and of an application of the SDK, in the middle of its calls. */
export async function theirKills(scenarios: Scenarios, python: PythonSdk, folder: string): Promise<void> {
  scenarios.title(
    'Kills of the standalone scheduler, a process of its own on SQLite, and of an application of the SDK',
  );
  const keys = generateKeyPair();
  const [port, theirPort] = [await freePort(), await freePort()];
  const [store, signingKey] = [join(folder, 'killed.db'), join(folder, 'signing.key')];
  await writeFile(signingKey, keys.privateKey);
  const serve = async (): Promise<TypeScriptProcess> => {
    const args = ['serve', '--dev', '--port', String(port), '--store', store];
    const access = ['--api-key', `python=${API_KEY}`, '--signing-key', `@${signingKey}`];
    const started = new TypeScriptProcess(new URL('../../lib/cli/main.ts', import.meta.url), [...args, ...access]);
    await started.until('Listening');
    return started;
  };
  const apply = () => python.serve('endpoint.py', keys.publicKeyBase64, String(theirPort));

  let scheduler = await serve();
  let theirs = await apply();
  const apiUrl = `http://127.0.0.1:${port}`;
  // It only asks what has become of their calls.
  const { app, client } = await startApplication({ apiUrl, apiKey: API_KEY, verificationKey: keys.publicKey });
  const killScheduler = async (): Promise<void> => {
    await scheduler.kill();
    scheduler = await serve();
  };
  const killApplication = async (): Promise<void> => {
    await theirs.kill();
    theirs = await apply();
  };
  const kills: [who: string, gathering: number, kill: () => Promise<unknown>][] = [
    ['the scheduler', 0, killScheduler],
    ['its application', GATHERING, killApplication],
    ['both', GATHERING, () => Promise.all([killScheduler(), killApplication()])],
  ];
  for (const [who, count, kill] of kills) {
    const goesOn = async (): Promise<void> => {
      const path = join(folder, who);
      const waiting = Array.from({ length: WAITING }, (_, n) => ['wait_for_nested', path, n]);
      const gathering = Array.from({ length: count }, () => ['add_pairs', PAIRS]);
      const inputs = JSON.stringify([...waiting, ...gathering]);
      const env = { DISPATCH_API_URL: apiUrl, DISPATCH_API_KEY: API_KEY };
      const ids = idsOf(await python.run('client.py', [theirs.url, 'begin', inputs], env));
      await Promise.all(ids.slice(0, WAITING).map((id) => suspended(client, id)));
      await kill();
      await writeFile(path, '');
      deepEqual(await resultsOf(client, ids, '50s'), [
        ...waiting.map((_, n) => `there ${n}`),
        ...gathering.map(() => (4 * (PAIRS * (PAIRS - 1))) / 2),
      ]);
    };
    await scenarios.run(`kill -9 of ${who}: leaves and parents go on`, goesOn, LIMIT);
  }
  await app.close();
  await scheduler.terminate();
  await theirs.stop();
}
