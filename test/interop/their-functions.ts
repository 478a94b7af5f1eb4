import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NotFoundError, PermissionDeniedError, UnauthenticatedError, type DispatchClient } from '../../lib/index.js';
import { generateKeyPair } from '../../lib/signature/index.js';
import { startApplication, type Application } from './application.js';
import { begin, double, rejectsWith, suspended } from './calls.js';
import type { PythonSdk } from './python.js';
import type { Scenarios } from './scenarios.js';

const MANY = 25;

/** Our scheduler, on an SQLite store, runs the SDK's functions. */
export async function theirFunctions(scenarios: Scenarios, python: PythonSdk, folder: string): Promise<void> {
  const keys = generateKeyPair();
  const theirs = await python.serve('endpoint.py', keys.publicKeyBase64);
  const store = join(folder, 'interop.db');
  const options = { verificationKey: keys.publicKey, scheduler: { store, signingKey: keys.privateKey } };

  scenarios.title('Our scheduler runs its functions, signed, on SQLite');
  let application = await startApplication(options);
  await plain(scenarios, application.client, theirs.url);
  await coroutines(scenarios, application, theirs.url);
  await mixed(scenarios, application, theirs.url);
  await scenarios.run('a suspended function goes on after a restart of ours', async () => {
    const path = join(folder, 'there');
    const { client } = application;
    const id = await client.dispatch(begin(theirs.url, 'wait_for_nested', path, 42));
    await suspended(client, id);
    await application.app.close();
    application = await startApplication(options);
    await writeFile(path, '');
    equal(await application.client.wait(id, { timeout: '20s' }), 'there 42');
  });
  await scenarios.run('a function that it does not have: NotFoundError', async () => {
    const call = application.client.call({ endpoint: theirs.url, function: 'nobody', input: 1 });
    await rejectsWith(call, NotFoundError, /function 'nobody' does not exist/);
  });
  await application.app.close();

  scenarios.title('Its endpoint refuses what it must, and our scheduler says so');
  application = await startApplication({ scheduler: { store: 'memory:', signingKey: generateKeyPair().privateKey } });
  await scenarios.run('signed with another key: PermissionDeniedError', () =>
    rejectsWith(application.client.call(double(theirs.url)), PermissionDeniedError, /./),
  );
  await application.app.close();
  application = await startApplication({ scheduler: { store: 'memory:' } });
  await scenarios.run('not signed: refused', async () => {
    const error = await application.client.call(double(theirs.url)).catch((reason: unknown) => reason);
    ok(error instanceof UnauthenticatedError || error instanceof PermissionDeniedError, String(error));
  });
  const open = await python.serve('endpoint.py');
  await scenarios.run('not signed, and no key there: it runs', async () =>
    equal(await application.client.call(double(open.url)), 42),
  );
  await application.app.close();
  await open.stop();
  await theirs.stop();
}

async function plain(scenarios: Scenarios, client: DispatchClient, endpoint: string): Promise<void> {
  await scenarios.run('plain', async () => equal(await client.call(double(endpoint)), 42));
  const echoed: [string, unknown][] = [
    ['NoneType', null],
    ['bool', true],
    ['int', 2 ** 53 - 1],
    ['float', 0.5],
    ['str', 'grüße\u{1f600}'],
    ['bytes', new Uint8Array([0, 255, 128])],
    ['datetime', new Date('2024-02-29T12:34:56.789Z')],
    ['list', [1, 'two', null, [true]]],
    ['dict', { a: 1, b: { c: ['d'] } }],
  ];
  for (const [type, value] of echoed) {
    await scenarios.run(`a ${type} there and back`, async () => {
      const [name] = await client.call<string[]>({ endpoint, function: 'kind', input: value });
      equal(name, type);
      const back = await client.call({ endpoint, function: 'echo', input: value });
      deepEqual(back ?? null, value);
    });
  }
}

async function coroutines(scenarios: Scenarios, { client }: Application, endpoint: string): Promise<void> {
  const call = <R = unknown>(name: string, ...args: unknown[]): Promise<R> =>
    client.call<R>(begin(endpoint, name, ...args));
  await scenarios.run('a tail call to a function with arguments', async () => equal(await call('add', 40, 2), 42));
  await scenarios.run('nested: its state comes back', async () => equal(await call('add_four', 1, 2, 3, 4), 10));
  await scenarios.run(`gathering ${MANY} nested, in resumes of at most 10 results`, async () =>
    equal(await call('add_pairs', MANY), (4 * (MANY * (MANY - 1))) / 2),
  );
  await scenarios.run('a race: results after its end do no harm', async () => {
    const first = await call<number>('first_of', 20);
    ok(first >= 0 && first < 20, `${first}`);
  });
  await scenarios.run('failing', async () => {
    const error = await call('fail', 'no good').catch((reason: unknown) => reason as Error);
    match(String(error), /no good/);
    match(String(error), /ValueError/);
  });
  await scenarios.run('failing, nested', async () => {
    const error = await call('fail_nested', 'no good').catch((reason: unknown) => reason as Error);
    match(String(error), /no good/);
  });
  await scenarios.run('failing, nested and caught by its type', async () =>
    equal(await call('catch', 'no good'), 'ValueError no good'),
  );
  await scenarios.run('retried', async () => equal(await call('flaky', 'a'), 3));
  await scenarios.run('retried after a resume: the state and the result come again', async () =>
    equal(await call('flaky_nested', 'b'), 3),
  );
  await scenarios.run('a reset: a tail call with a status that is retried', async () =>
    equal(await call('reset', 2), 'begun anew'),
  );
}

async function mixed(scenarios: Scenarios, { client, url, maths }: Application, endpoint: string): Promise<void> {
  const call = (name: string, ...args: unknown[]): Promise<unknown> => client.call(begin(endpoint, name, ...args));
  await scenarios.run('its function calls ours', async () =>
    equal(await call('call_other', url, 'Maths.double', 21), 42),
  );
  await scenarios.run('its function calls a nested one of ours', async () =>
    equal(await call('call_other', url, 'Maths.octuple', 5), 40),
  );
  await scenarios.run('its function catches an error of ours', async () =>
    equal(await call('catch_other', url, 'Maths.fail', 'too far'), 'RuntimeError too far'),
  );
  await scenarios.run('ours calls its, among others of ours', async () => {
    const both = await client.gather([client.build(double(endpoint)), client.of(maths).double(4)]);
    deepEqual(both, [42, 8]);
  });
}
