/**
 * The SDKs of others against this package: `npm run test:interop`. Installs them in a temporary folder, prints a line for
 * each scenario and the totals. Needs python3 with venv, and a package registry.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PythonSdk } from './python.js';
import { Scenarios } from './scenarios.js';
import { theirApplication } from './their-application.js';
import { theirClient } from './their-client.js';
import { theirFrameworks } from './their-frameworks.js';
import { theirFunctions } from './their-functions.js';
import { theirKills } from './their-kills.js';
import { theirScheduler } from './their-scheduler.js';

const scenarios = new Scenarios();
const folder = await mkdtemp(join(tmpdir(), 'nestjs-dispatch-interop-'));
try {
  const python = await PythonSdk.install(join(folder, 'python'));
  console.log(`The Python SDK: ${(await python.versions()).join(', ')}`);
  await theirScheduler(scenarios, python);
  await theirFunctions(scenarios, python, folder);
  await theirFrameworks(scenarios, python);
  await theirClient(scenarios, python);
  await theirApplication(scenarios, python);
  await theirKills(scenarios, python, folder);
} catch (error) {
  scenarios.fail('all of it could be run', error);
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exit(scenarios.end());
