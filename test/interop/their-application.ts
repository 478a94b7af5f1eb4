import { equal, match, deepEqual } from 'node:assert/strict';
import { generateKeyPair } from '../../lib/signature/index.js';
import { StandaloneScheduler } from '../../lib/standalone/index.js';
import { startApplication, type Application } from './application.js';
import { idsOf, resultsOf } from './calls.js';
import type { PythonSdk } from './python.js';
import type { Scenarios } from './scenarios.js';

const THEIR_KEY = 'sk_python_0123456789';
const OUR_KEY = 'sk_node_0123456789abc';

interface World {
  readonly scheduler: StandaloneScheduler;
  readonly endpoint: string;
  /** An application of ours with the same API key: it is told what becomes of their calls. */
  readonly ours: Application;
  /** Their client dispatches; resolves with the ids, or with what it says. */
  dispatch(key: string, name: string, ...inputs: unknown[]): Promise<string>;
}

/** Applications of the SDK, and of ours, on the standalone scheduler. */
export async function theirApplication(scenarios: Scenarios, python: PythonSdk): Promise<void> {
  scenarios.title('Applications of the SDK and of ours, on the standalone scheduler');
  const keys = generateKeyPair();
  const log = { log: () => undefined, warn: () => undefined, error: () => undefined };
  const scheduler = new StandaloneScheduler({
    store: 'memory:',
    port: 0,
    dev: true,
    apiKeys: [`python=${THEIR_KEY}`, `node=${OUR_KEY}`],
    signingKey: keys.privateKey,
    retry: { initial: 10 },
    log,
  });
  await scheduler.start();
  const theirs = await python.serve('endpoint.py', keys.publicKeyBase64);
  const verificationKey = keys.publicKey;
  const ours = await startApplication({ apiUrl: scheduler.url, apiKey: THEIR_KEY, verificationKey });
  const dispatch = (key: string, name: string, ...inputs: unknown[]): Promise<string> =>
    python.run('client.py', [theirs.url, name, JSON.stringify(inputs)], {
      DISPATCH_API_URL: scheduler.url,
      DISPATCH_API_KEY: key,
    });
  const world: World = { scheduler, endpoint: theirs.url, ours, dispatch };
  await theirCalls(scenarios, world);
  await bothWays(scenarios, world);
  await keysApart(scenarios, world);
  await ours.app.close();
  await scheduler.stop();
  await theirs.stop();
}

async function theirCalls(scenarios: Scenarios, { ours: { client }, dispatch }: World): Promise<void> {
  const run = async (name: string, ...args: unknown[]): Promise<unknown> => {
    const [id = ''] = idsOf(await dispatch(THEIR_KEY, 'begin', [name, ...args]));
    return client.wait(id, { timeout: '10s' });
  };
  const results: [string, unknown, [string, ...unknown[]]][] = [
    ['plain', 42, ['add', 40, 2]],
    ['nested', 10, ['add_four', 1, 2, 3, 4]],
    ['gathering', 180, ['add_pairs', 10]],
    ['failing, nested and caught by its type', 'ValueError no good', ['catch', 'no good']],
    ['retried', 3, ['flaky', 'standalone']],
    ['retried after a resume', 3, ['flaky_nested', 'standalone nested']],
  ];
  for (const [name, expected, [fn, ...args]] of results) {
    await scenarios.run(`its client dispatches to its functions: ${name}`, async () =>
      equal(await run(fn, ...args), expected),
    );
  }
  await scenarios.run('its client dispatches several calls: ids in their order', async () => {
    const ids = idsOf(await dispatch(THEIR_KEY, 'begin', ['add', 1, 1], ['add', 2, 2], ['add', 3, 3]));
    deepEqual(await resultsOf(client, ids), [2, 4, 6]);
  });
  await scenarios.run('its failing function: the error is told', async () => {
    const error = await run('fail_nested', 'no good').catch((reason: unknown) => reason as Error);
    match(String(error), /no good/);
  });
}

async function bothWays(scenarios: Scenarios, { ours, endpoint }: World): Promise<void> {
  const { client, maths, url } = ours;
  const begin = (name: string, ...args: unknown[]) => ({ endpoint, function: 'begin', input: [name, ...args] });
  await scenarios.run('ours, with several arguments and nested', async () =>
    equal(await client.call(maths.sum, [1, 2, 3], 10), 120),
  );
  await scenarios.run('its function calls a nested one of ours', async () =>
    equal(await client.call(begin('call_other', url, 'Maths.octuple', 5)), 40),
  );
  await scenarios.run('its function catches an error of ours', async () =>
    equal(await client.call(begin('catch_other', url, 'Maths.fail', 'too far')), 'RuntimeError too far'),
  );
  await scenarios.run('its endpoint is not sent what only this package knows', async () => {
    const call = client.call({ endpoint, function: 'echo', input: new Map([['a', 1]]) });
    const error = await call.catch((reason: unknown) => reason as Error);
    match(String(error), /cannot read: pass one plain value/);
  });
}

async function keysApart(scenarios: Scenarios, { dispatch, ours: { client }, scheduler }: World): Promise<void> {
  await scenarios.run('with a wrong key: its message names the variable', async () =>
    match(
      await dispatch('sk_wrong_0123456789', 'begin', ['add', 1, 1]),
      /^failed PermissionError .*\(check DISPATCH_API_KEY is correct\)/,
    ),
  );
  await scenarios.run('with the key of another: its calls are not seen here', async () => {
    const [id = ''] = idsOf(await dispatch(OUR_KEY, 'begin', ['add', 1, 1]));
    equal(await client.get(id), undefined);
    const other = await startApplication({ apiUrl: scheduler.url, apiKey: OUR_KEY });
    equal(await other.client.wait(id, { timeout: '10s' }), 2);
    await other.app.close();
  });
}
