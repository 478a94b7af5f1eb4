import { equal, match } from 'node:assert/strict';
import { NotFoundError, PermissionDeniedError } from '../../lib/index.js';
import { generateKeyPair } from '../../lib/signature/index.js';
import { startApplication } from './application.js';
import { begin, double, rejectsWith } from './calls.js';
import type { PythonSdk } from './python.js';
import type { Scenarios } from './scenarios.js';

const MANY = 12;

/** Our scheduler runs the SDK's functions where other frameworks serve them. */
export async function theirFrameworks(scenarios: Scenarios, python: PythonSdk): Promise<void> {
  await served(scenarios, python, 'FastAPI', 'endpoint_fastapi.py');
  await served(scenarios, python, 'Flask', 'endpoint_flask.py');
}

async function served(scenarios: Scenarios, python: PythonSdk, framework: string, script: string): Promise<void> {
  const keys = generateKeyPair();
  const theirs = await python.serve(script, keys.publicKeyBase64);
  const { url: endpoint } = theirs;
  const options = (signingKey?: string) => ({
    verificationKey: keys.publicKey,
    scheduler: { store: 'memory:', signingKey },
  });
  const { app, client, url } = await startApplication(options(keys.privateKey));
  const call = (name: string, ...args: unknown[]): Promise<unknown> => client.call(begin(endpoint, name, ...args));

  scenarios.title(`Our scheduler runs its functions, signed, served by ${framework}`);
  await scenarios.run('plain', async () => equal(await client.call(double(endpoint)), 42));
  await scenarios.run('nested: its state comes back', async () => equal(await call('add_four', 1, 2, 3, 4), 10));
  await scenarios.run(`gathering ${MANY} nested`, async () =>
    equal(await call('add_pairs', MANY), (4 * (MANY * (MANY - 1))) / 2),
  );
  await scenarios.run('failing', async () => {
    const error = await call('fail', 'no good').catch((reason: unknown) => reason);
    match(String(error), /ValueError.*no good/);
  });
  await scenarios.run('failing, nested and caught by its type', async () =>
    equal(await call('catch', 'no good'), 'ValueError no good'),
  );
  await scenarios.run('retried after a resume', async () => equal(await call('flaky_nested', 'key'), 3));
  await scenarios.run('its function calls ours', async () =>
    equal(await call('call_other', url, 'Maths.double', 21), 42),
  );
  await scenarios.run('a function that it does not have: NotFoundError', () =>
    rejectsWith(client.call({ endpoint, function: 'nobody', input: 1 }), NotFoundError, /./),
  );
  await app.close();

  const stranger = await startApplication(options(generateKeyPair().privateKey));
  await scenarios.run('signed with another key: PermissionDeniedError', () =>
    rejectsWith(stranger.client.call(double(endpoint)), PermissionDeniedError, /./),
  );
  await stranger.app.close();
  const unsigned = await startApplication(options());
  // Where ours answers 401, the SDK has 403 for both.
  await scenarios.run('not signed: PermissionDeniedError', () =>
    rejectsWith(unsigned.client.call(double(endpoint)), PermissionDeniedError, /Signature-Input/),
  );
  await unsigned.app.close();
  await theirs.stop();
}
