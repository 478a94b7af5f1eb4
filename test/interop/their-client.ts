import { deepEqual, equal, match } from 'node:assert/strict';
import { Status, type DispatchClient } from '../../lib/index.js';
import type { RunResponse } from '../../lib/proto.js';
import { generateKeyPair } from '../../lib/signature/index.js';
import { DispatchServer, DispatchService, EndpointClient } from '../../lib/testing/index.js';
import { unpack } from '../../lib/values/index.js';
import { freePort } from '../support/free-port.js';
import { startApplication } from './application.js';
import type { PythonSdk } from './python.js';
import type { Scenarios } from './scenarios.js';

const KEY = 'the-right-key';

/** The SDK's client dispatches to the scheduler of the test kit, which runs functions of both sides. */
export async function theirClient(scenarios: Scenarios, python: PythonSdk): Promise<void> {
  await toOurFunctions(scenarios, python);
  await toTheirFunctions(scenarios, python);
}

async function toOurFunctions(scenarios: Scenarios, python: PythonSdk): Promise<void> {
  scenarios.title('Its client dispatches to the scheduler of our test kit, which runs our functions');
  const keys = generateKeyPair();
  const port = await freePort();
  const { service, server } = await serve(`http://127.0.0.1:${port}`, keys.privateKey);
  const application = await startApplication(
    { apiUrl: server.url, apiKey: KEY, verificationKey: keys.publicKey },
    port,
  );
  const { client, url } = application;
  const dispatch = (env: Record<string, string>): Promise<string> =>
    python.run('client.py', [url, 'Maths.octuple', '[1, 2, 3]'], env);

  await scenarios.run('with the right key: ids in the order of the calls, and the functions run', async () => {
    const [word, ...ids] = (await dispatch({ DISPATCH_API_URL: server.url, DISPATCH_API_KEY: KEY })).split(' ');
    equal(word, 'dispatched');
    deepEqual(await results(client, ids), [8, 16, 24]);
  });
  await scenarios.run('with a wrong key in DISPATCH_API_KEY: its message names the variable', async () =>
    match(
      await dispatch({ DISPATCH_API_URL: server.url, DISPATCH_API_KEY: 'wrong' }),
      /^failed PermissionError .*invalid authentication token \(check DISPATCH_API_KEY is correct\)/,
    ),
  );
  await scenarios.run('with a wrong key as an option: its message names the option', async () =>
    match(
      await dispatch({ DISPATCH_API_URL: server.url, OPTION_API_KEY: 'wrong' }),
      /^failed PermissionError .*invalid authentication token \(check api_key is correct\)/,
    ),
  );
  await scenarios.run('to an address where nobody listens', async () =>
    match(
      await dispatch({ DISPATCH_API_URL: `http://127.0.0.1:${await freePort()}`, DISPATCH_API_KEY: KEY }),
      /^failed ClientConnectorError Cannot connect to host 127\.0\.0\.1/,
    ),
  );
  await scenarios.run('to a wrong path: not_found', async () =>
    match(
      await dispatch({ DISPATCH_API_URL: `${server.url}/wrong`, DISPATCH_API_KEY: KEY }),
      /^failed ClientError not_found: /,
    ),
  );
  await scenarios.run('a call without an endpoint: invalid_argument', async () =>
    match(
      await python.run('client.py', ['', 'Maths.double', '[1]'], {
        DISPATCH_API_URL: server.url,
        DISPATCH_API_KEY: KEY,
      }),
      /^failed ClientError invalid_argument: /,
    ),
  );
  await application.app.close();
  await service.stop();
  await server.stop();
}

async function toTheirFunctions(scenarios: Scenarios, python: PythonSdk): Promise<void> {
  scenarios.title('Its client dispatches to the scheduler of our test kit, which runs its functions');
  const keys = generateKeyPair();
  const theirs = await python.serve('endpoint.py', keys.publicKeyBase64);
  const { service, server } = await serve(theirs.url, keys.privateKey);
  const run = async (name: string, ...args: unknown[]): Promise<RunResponse> => {
    const input = JSON.stringify([[name, ...args]]);
    const env = { DISPATCH_API_URL: server.url, DISPATCH_API_KEY: KEY };
    const id = (await python.run('client.py', [theirs.url, 'begin', input], env)).replace('dispatched ', '');
    return last(service, id);
  };
  const results: [string, unknown, [string, ...unknown[]]][] = [
    ['plain', 42, ['add', 40, 2]],
    ['nested', 10, ['add_four', 1, 2, 3, 4]],
    ['gathering', 180, ['add_pairs', 10]],
    ['failing, nested and caught by its type', 'ValueError no good', ['catch', 'no good']],
    ['retried', 3, ['flaky', 'kit']],
    ['retried after a resume', 3, ['flaky_nested', 'kit nested']],
  ];
  for (const [name, expected, [fn, ...args]] of results) {
    await scenarios.run(name, async () => equal(outputOf(await run(fn, ...args)), expected));
  }
  await scenarios.run('failing', async () => {
    const { status, directive } = await run('fail_nested', 'no good');
    equal(status, Status.INVALID_ARGUMENT);
    equal(directive.case === 'exit' ? directive.value.result?.error?.type : directive.case, 'ValueError');
  });
  await service.stop();
  await server.stop();
  await theirs.stop();
}

async function serve(url: string, signingKey: string): Promise<{ service: DispatchService; server: DispatchServer }> {
  const endpoint = EndpointClient.fromUrl(url, { signingKey });
  const service = new DispatchService(endpoint, { apiKey: KEY, collectRoundtrips: true });
  const server = new DispatchServer(service);
  await server.start();
  service.start();
  return { service, server };
}

function results(client: DispatchClient, ids: readonly string[]): Promise<unknown[]> {
  return Promise.all(ids.map((id) => client.wait(id, { timeout: '10s' })));
}

/** The answer that ended a call. */
async function last(service: DispatchService, id: string): Promise<RunResponse> {
  for (;;) {
    const answer = service.roundtrips.get(id)?.at(-1)?.[1];
    const isOver = answer?.directive.case === 'exit' && answer.directive.value.tailCall === undefined;
    if (answer !== undefined && isOver && answer.status !== Status.TEMPORARY_ERROR) return answer;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function outputOf({ directive }: RunResponse): unknown {
  return directive.case === 'exit' ? unpack(directive.value.result?.output) : undefined;
}
