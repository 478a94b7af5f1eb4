import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { generateKeyPair } from '../../lib/signature/index.js';
import { startApplication, type Application } from './application.js';
import type { PythonSdk } from './python.js';
import type { Scenarios } from './scenarios.js';

/** The key that the SDK's test scheduler wants. */
const API_KEY = '916CC3D280BB46DDBDA984B3DD10059A';

/** The SDK's test scheduler runs our functions. */
export async function theirScheduler(scenarios: Scenarios, python: PythonSdk): Promise<void> {
  const keys = generateKeyPair();
  const verificationKey = keys.publicKey;
  scenarios.title('Its scheduler runs our functions, unsigned');
  await withScheduler(python, [], {}, (world) => ours(scenarios, world));
  scenarios.title('Its scheduler runs our functions, signed');
  await withScheduler(python, [keys.privateKeyBase64], { verificationKey }, (world) => ours(scenarios, world));

  scenarios.title('Our endpoint refuses what it must');
  await withScheduler(python, [], { verificationKey }, (world) =>
    scenarios.run('a run without a signature: 401', () => refused(world, 'refused 401 unauthenticated ')),
  );
  await withScheduler(python, [generateKeyPair().privateKeyBase64], { verificationKey }, (world) =>
    scenarios.run('a run signed with another key: 403', () => refused(world, 'refused 403 permission_denied ')),
  );
  const application = await startApplication({ apiUrl: 'http://127.0.0.1:1' });
  for (const test of ['test_content_length_missing', 'test_content_length_too_large', 'test_call_function_missing']) {
    await scenarios.run(`its own ${test}`, async () =>
      equal(await python.run('endpoint_suite.py', [application.url, test]), 'passed'),
    );
  }
  await application.app.close();
}

interface World extends Application {
  line(prefix: string): Promise<string>;
}

async function withScheduler(
  python: PythonSdk,
  args: string[],
  options: { verificationKey?: string },
  use: (world: World) => Promise<void>,
): Promise<void> {
  const scheduler = await python.serve('scheduler.py', ...args);
  const application = await startApplication({ ...options, apiUrl: scheduler.url, apiKey: API_KEY });
  await use({ ...application, line: (prefix) => scheduler.line(prefix) });
  await application.app.close();
  await scheduler.stop();
}

async function refused({ client, maths, line }: World, expected: string): Promise<void> {
  await client.dispatch(maths.double, 1);
  ok((await line('refused ')).startsWith(expected));
}

async function ours(scenarios: Scenarios, { client, maths }: World): Promise<void> {
  await scenarios.run('plain', async () => equal(await client.call(maths.double, 21), 42));
  await scenarios.run('nested, three deep', async () => equal(await client.call(maths.octuple, 5), 40));
  await scenarios.run('gathering', async () => equal(await client.call(maths.sum, [1, 2, 3], 10), 120));
  await scenarios.run('gathering 200', async () => {
    const values = Array.from({ length: 200 }, (_, index) => index);
    equal(await client.call(maths.sum, values, 1), 39_800);
  });
  await scenarios.run('failing', async () => {
    const error = await client.call(maths.fail, 'out of range').catch((reason: unknown) => reason as Error);
    match(String(error), /out of range/);
  });
  await scenarios.run('failing, nested', async () => {
    const error = await client.call(maths.failNested, 'deep').catch((reason: unknown) => reason as Error);
    match(String(error), /deep/);
  });
  await scenarios.run('failing, nested and caught', async () =>
    equal(await client.call(maths.catchNested, 'deep'), 'RangeError deep'),
  );
  await scenarios.run('retried', async () => equal(await client.call(maths.flaky, 'a'), 3));
  await scenarios.run('retried, nested', async () => deepEqual(await client.call(maths.flakyNested, 'b'), [3, 3]));
  await scenarios.run('steps run once', async () => deepEqual(await client.call(maths.steps, 'c'), [1, 42, 2]));
  await scenarios.run('a timer that the scheduler does not keep', async () => {
    ok((await client.call(maths.rest, 1_200)) >= 1_200);
  });
  await scenarios.run('tail calls', async () => equal(await client.call(maths.countDown, 3), 'zero'));
  await scenarios.run('ids of the scheduler', async () => {
    const [id, rootId] = await client.call(maths.ids);
    match(id ?? '', /^\d+$/);
    equal(rootId, id);
  });
}
