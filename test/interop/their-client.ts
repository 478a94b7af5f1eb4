import { equal, match } from 'node:assert/strict';
import { TinyDispatchService } from '../support/dispatch-service.js';
import { freePort, startApplication } from './application.js';
import type { PythonSdk } from './python.js';
import type { Scenarios } from './scenarios.js';

const KEY = 'the-right-key';

/** The SDK's client dispatches to a scheduler of ours. */
export async function theirClient(scenarios: Scenarios, python: PythonSdk): Promise<void> {
  scenarios.title('Its client dispatches to a service of ours');
  const service = new TinyDispatchService(KEY);
  const apiUrl = await service.listen();
  const application = await startApplication({ apiUrl, apiKey: KEY });
  const { client, url } = application;
  const dispatch = (env: Record<string, string>): Promise<string> =>
    python.run('client.py', [url, 'Maths.double', '[1, 2, 3]'], env);

  await scenarios.run('with the right key: ids in the order of the calls, and our functions run', async () => {
    const [word, ...ids] = (await dispatch({ DISPATCH_API_URL: apiUrl, DISPATCH_API_KEY: KEY })).split(' ');
    equal(word, 'dispatched');
    equal(ids.length, 3);
    for (const [index, id] of ids.entries()) equal(await client.wait(id, { timeout: '10s' }), 2 * (index + 1));
  });
  await scenarios.run('with a wrong key in DISPATCH_API_KEY: its message names the variable', async () =>
    match(
      await dispatch({ DISPATCH_API_URL: apiUrl, DISPATCH_API_KEY: 'wrong' }),
      /^failed PermissionError .*invalid authentication token \(check DISPATCH_API_KEY is correct\)/,
    ),
  );
  await scenarios.run('with a wrong key as an option: its message names the option', async () =>
    match(
      await dispatch({ DISPATCH_API_URL: apiUrl, OPTION_API_KEY: 'wrong' }),
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
      await dispatch({ DISPATCH_API_URL: `${apiUrl}/wrong`, DISPATCH_API_KEY: KEY }),
      /^failed ClientError not_found: /,
    ),
  );
  await application.app.close();
  await service.close();
}
