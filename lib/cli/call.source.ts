import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import type { Backend } from '../client/backend.js';
import { EmbeddedBackend } from '../client/embedded.backend.js';
import { RemoteBackend } from '../client/remote.backend.js';
import { RemoteResults } from '../client/remote.results.js';
import { LOCAL_ENDPOINT } from '../dispatch.constants.js';
import { failure } from '../endpoint/index.js';
import { ConfigurationError, Status, UnauthenticatedError } from '../errors/index.js';
import { SystemClock } from '../protocol/index.js';
import { RemoteScheduler } from '../remote/index.js';
import {
  createStore,
  Scheduler,
  secureRandom,
  StoreError,
  StoreLockedError,
  type Store,
  type Transport,
} from '../scheduler/index.js';
import { secret } from './option.values.js';

/** Where the commands find the calls. */
export interface SourceOptions {
  readonly url?: string;
  readonly apiKey?: string;
  readonly store?: string;
}

export type CallSource = Pick<Backend, 'get' | 'list' | 'wait' | 'cancel' | 'retry'>;

const DEFAULT_STORE = './.dispatch/dispatch.db';
const API_URL = '--url (DISPATCH_API_URL)';
const API_KEY = '--api-key (DISPATCH_API_KEY)';

export function withSourceOptions(command: Command): Command {
  return command
    .option('--url <address>', 'the scheduler to ask (env: DISPATCH_API_URL)')
    .option('--api-key <key>', 'its API key, or @FILE (env: DISPATCH_API_KEY)')
    .option(
      '--store <store>',
      `a store that no process has open (default: ${DEFAULT_STORE}, env: DISPATCH_STORE where no scheduler is set)`,
    );
}

/** Does something with the calls of a scheduler, or of a store that is nobody's at the moment. */
export async function usingCalls<T>(options: SourceOptions, use: (calls: CallSource) => Promise<T>): Promise<T> {
  const { url, store, apiKey } = sourceOf(options, process.env);
  if (url === undefined) {
    requireFile(store);
    return usingStore(store, use);
  }
  const key = apiKey === undefined ? undefined : { value: secret(apiKey, '--api-key'), source: API_KEY };
  const remoteUrl = readUrl(url);
  const remote = new RemoteBackend(
    new RemoteScheduler({ apiUrl: { value: remoteUrl, source: API_URL }, apiKey: key }),
    undefined,
    new RemoteResults(),
  );
  try {
    return await use(remote);
  } catch (error) {
    if (!(error instanceof UnauthenticatedError) || key !== undefined) throw error;
    throw new UnauthenticatedError(`The scheduler at ${remoteUrl.origin} wants an API key: give ${API_KEY}.`, {
      cause: error,
    });
  } finally {
    remote.close();
  }
}

/** Options win over variables, and a scheduler over a store, as in applications. */
export function sourceOf(
  { url, apiKey, store }: SourceOptions,
  environment: Readonly<Record<string, string | undefined>>,
):
  { url: string; apiKey: string | undefined; store: undefined } | { url: undefined; apiKey: undefined; store: string } {
  if (url !== undefined && store !== undefined) {
    throw new ConfigurationError('--url and --store are given: give one of them, to say where the calls are.');
  }
  const address = store === undefined ? url || environment['DISPATCH_API_URL'] : undefined;
  if (address)
    return { url: address, apiKey: apiKey || environment['DISPATCH_API_KEY'] || undefined, store: undefined };
  return { url: undefined, apiKey: undefined, store: store || environment['DISPATCH_STORE'] || defaultStore() };
}

/** Opens a store, with a scheduler that runs nothing. */
export async function usingStore<T>(setting: string, use: (calls: CallSource) => Promise<T>): Promise<T> {
  if (setting === 'memory:') {
    throw new ConfigurationError(
      'The store memory: is in the memory of the process that has it: ask that one, with --url.',
    );
  }
  const store = storeOf(setting);
  const scheduler = new Scheduler(
    { store, transport: nowhere, clock: new SystemClock(), random: secureRandom(), log: silent },
    { run: false },
  );
  try {
    await scheduler.start();
  } catch (error) {
    if (!(error instanceof StoreLockedError)) throw error;
    throw new StoreLockedError(`${error.message} If that one is a scheduler, ask it: --url.`, { cause: error });
  }
  try {
    const calls = new EmbeddedBackend(scheduler);
    calls.open();
    return await use(calls);
  } finally {
    await scheduler.stop({ grace: 0 });
  }
}

/** What messages call a store: without the password that an address may have. */
export const storeName = (setting: string): string => storeOf(setting).name;

/** Whoever looks into a store leaves its tables to the applications that use them. */
function storeOf(setting: string): Store {
  try {
    return createStore(setting, { lockTimeout: 0, migrate: 'check' });
  } catch (error) {
    throw error instanceof StoreError ? new ConfigurationError(error.message, { cause: error }) : error;
  }
}

/** Nothing is run. Applications have their own functions in their stores, which clean up when they are cancelled. */
const nowhere: Transport = {
  extended: (endpoint) => endpoint === LOCAL_ENDPOINT,
  run: () => Promise.resolve(failure(Status.TCP_ERROR, 'nothing is run by the command line')),
};

const silent = { log: ignore, warn: ignore, error: ignore };

function ignore(): void {}

function defaultStore(): string {
  if (existsSync(DEFAULT_STORE)) return DEFAULT_STORE;
  throw new ConfigurationError(
    `There is nothing to look into: give the address of a scheduler (--url, DISPATCH_API_URL), or a store (--store, DISPATCH_STORE).`,
  );
}

/** Looking into a store must not make one. */
function requireFile(setting: string): void {
  if (isMissing(setting))
    throw new ConfigurationError(`There is no store at ${setting}: check --store (DISPATCH_STORE).`);
}

/** Whether the setting names a file that is not there. */
export const isMissing = (setting: string): boolean => !/^[a-z][a-z0-9+.-]+:/i.test(setting) && !existsSync(setting);

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new ConfigurationError(
    '--url (DISPATCH_API_URL) is no address: give one that begins with http:// or https://.',
  );
}
