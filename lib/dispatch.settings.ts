import { describe, parseDuration } from './dispatch.duration.js';
import type {
  DispatchModuleOptions,
  EmbeddedSchedulerOptions,
  EndpointLimits,
  EndpointOptions,
} from './dispatch.options.js';
import { ConfigurationError, isFailure, type Status } from './errors/index.js';
import { refuseUnknownNames } from './dispatch.spelling.js';
import { MAX_MESSAGE_BYTES } from './protocol/index.js';
import type { Store } from './scheduler/index.js';

/** A value, and what a message calls the place it came from. */
export interface Sourced<T> {
  readonly value: T;
  /** `the option apiKey`, or `DISPATCH_API_KEY`. */
  readonly source: string;
}

export interface EmbeddedSettings {
  readonly kind: 'embedded';
  readonly store: Sourced<string | Store>;
  readonly run: boolean;
  readonly concurrency: number | undefined;
  readonly endpoints: Readonly<Record<string, { readonly concurrency: number | undefined }>>;
  /** Milliseconds, here and below. */
  readonly retention: number | undefined;
  readonly runTimeout: number | undefined;
  readonly cancelGrace: number | undefined;
  readonly shutdownGrace: number;
  readonly signingKey: Sourced<string> | undefined;
}

export interface RemoteSettings {
  readonly kind: 'remote';
  readonly apiUrl: Sourced<URL>;
  readonly apiKey: Sourced<string> | undefined;
}

/** No scheduler that the application itself knows of: it only serves its endpoint. */
export interface EndpointOnlySettings {
  readonly kind: 'endpoint';
}

/** The options with the environment and the defaults applied, all of them checked. */
export interface Settings {
  readonly mode: EmbeddedSettings | RemoteSettings | EndpointOnlySettings;
  readonly endpointUrl: Sourced<URL> | undefined;
  readonly verificationKey: Sourced<string> | undefined;
  readonly endpoint: { readonly open: boolean; readonly maxBodyBytes: number };
  readonly outside: 'run' | 'warn' | 'error';
  readonly replay: 'live' | 'always';
  readonly defaultErrorStatus: Status | undefined;
  readonly maxLive: number | undefined;
  readonly maxLiveBytes: number | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_STORE = './.dispatch/dispatch.db';
const DEFAULT_SHUTDOWN_GRACE = 10_000;

const OPTION_NAMES = [
  'endpointUrl',
  'apiKey',
  'apiUrl',
  'verificationKey',
  'scheduler',
  'endpoint',
  'outside',
  'replay',
  'defaultErrorStatus',
  'maxLive',
  'maxLiveBytes',
  'isGlobal',
] as const satisfies readonly (keyof DispatchModuleOptions)[];

const SCHEDULER_OPTION_NAMES = [
  'store',
  'run',
  'concurrency',
  'endpoints',
  'retention',
  'runTimeout',
  'cancelGrace',
  'shutdownGrace',
  'signingKey',
] as const satisfies readonly (keyof EmbeddedSchedulerOptions)[];

const ENDPOINT_LIMIT_NAMES = ['concurrency'] as const satisfies readonly (keyof EndpointLimits)[];

const ENDPOINT_OPTION_NAMES = ['open', 'maxBodyBytes'] as const satisfies readonly (keyof EndpointOptions)[];

/**
 * Applies the environment and the defaults to the options, and checks everything.
 *
 * @throws ConfigurationError that names the option or variable, what is wrong with it, and what to do
 */
export function resolveSettings(options: DispatchModuleOptions = {}, environment: Environment = process.env): Settings {
  requireObject(options, 'The options of DispatchModule');
  refuseUnknownNames(options, OPTION_NAMES, '');
  const { endpoint = {} } = options;
  requireObject(endpoint, 'The option endpoint');
  refuseUnknownNames(endpoint, ENDPOINT_OPTION_NAMES, 'endpoint.');
  const url = readText(options.endpointUrl, 'endpointUrl', environment, 'DISPATCH_ENDPOINT_URL');
  return {
    mode: resolveMode(options, environment),
    endpointUrl: url && { ...url, value: readUrl(url, ['http:', 'https:', 'bridge:']) },
    verificationKey: readText(options.verificationKey, 'verificationKey', environment, 'DISPATCH_VERIFICATION_KEY'),
    endpoint: {
      open: readBoolean(endpoint.open, 'endpoint.open') ?? false,
      maxBodyBytes: readCount(endpoint.maxBodyBytes, 'endpoint.maxBodyBytes', MAX_MESSAGE_BYTES) ?? MAX_MESSAGE_BYTES,
    },
    outside: readOneOf(options.outside, 'outside', ['run', 'warn', 'error']) ?? 'warn',
    replay: readOneOf(options.replay, 'replay', ['live', 'always']) ?? 'live',
    defaultErrorStatus: readErrorStatus(options.defaultErrorStatus),
    maxLive: readCount(options.maxLive, 'maxLive'),
    maxLiveBytes: readCount(options.maxLiveBytes, 'maxLiveBytes'),
  };
}

function resolveMode(options: DispatchModuleOptions, environment: Environment): Settings['mode'] {
  const apiUrl = readText(options.apiUrl, 'apiUrl', environment, 'DISPATCH_API_URL');
  const apiKey = readText(options.apiKey, 'apiKey', environment, 'DISPATCH_API_KEY');
  const { scheduler = {} } = options;
  const embedded = scheduler === false ? undefined : resolveEmbedded(scheduler, environment);
  if (apiUrl !== undefined) {
    return { kind: 'remote', apiUrl: { ...apiUrl, value: readUrl(apiUrl, ['http:', 'https:']) }, apiKey };
  }
  if (apiKey !== undefined) {
    throw new ConfigurationError(
      `${apiKey.source} is set, but no scheduler's address: an API key is for a remote scheduler. Set DISPATCH_API_URL ` +
        `(or the option apiUrl) to its address, or remove the key to use the embedded scheduler.`,
    );
  }
  return embedded ?? { kind: 'endpoint' };
}

function resolveEmbedded(options: EmbeddedSchedulerOptions, environment: Environment): EmbeddedSettings {
  requireObject(options, 'The option scheduler (false for none)');
  refuseUnknownNames(options, SCHEDULER_OPTION_NAMES, 'scheduler.');
  return {
    kind: 'embedded',
    store: readStore(options.store, environment),
    run: readBoolean(options.run, 'scheduler.run') ?? true,
    concurrency: readCount(options.concurrency, 'scheduler.concurrency'),
    endpoints: readEndpoints(options.endpoints),
    retention: readDuration(options, 'retention'),
    runTimeout: readDuration(options, 'runTimeout'),
    cancelGrace: readDuration(options, 'cancelGrace'),
    shutdownGrace: readDuration(options, 'shutdownGrace') ?? DEFAULT_SHUTDOWN_GRACE,
    signingKey: readOption(options.signingKey, 'scheduler.signingKey'),
  };
}

function readEndpoints(endpoints: EmbeddedSchedulerOptions['endpoints'] = {}): EmbeddedSettings['endpoints'] {
  requireObject(endpoints, 'The option scheduler.endpoints');
  const limits = Object.entries(endpoints).map(([address, options]) => {
    const name = `scheduler.endpoints['${address}']`;
    readUrl({ value: address, source: `an address in the option scheduler.endpoints` }, ['http:', 'https:']);
    requireObject(options, `The option ${name}`);
    refuseUnknownNames(options, ENDPOINT_LIMIT_NAMES, `${name}.`);
    return [address, { concurrency: readCount(options.concurrency, `${name}.concurrency`) }] as const;
  });
  return Object.fromEntries(limits);
}

function readStore(option: string | Store | undefined, environment: Environment): Sourced<string | Store> {
  if (typeof option === 'object' && option !== null) {
    requireStore(option);
    return { value: option, source: 'the option scheduler.store' };
  }
  const named = readText(option, 'scheduler.store', environment, 'DISPATCH_STORE');
  if (named !== undefined) return named;
  const isTest =
    environment['NODE_ENV'] === 'test' ||
    environment['JEST_WORKER_ID'] !== undefined ||
    environment['VITEST_WORKER_ID'] !== undefined;
  return { value: isTest ? 'memory:' : DEFAULT_STORE, source: 'the default' };
}

function requireStore(option: Partial<Store>): void {
  if (typeof option.open === 'function' && typeof option.commit === 'function') return;
  throw new ConfigurationError(
    `The option scheduler.store is an object that is no store: give 'memory:', the path of a file, or an instance of a ` +
      `store, such as new SqliteStore('./calls.db').`,
  );
}

function requireObject(value: unknown, what: string): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw new ConfigurationError(`${what}: ${describe(value)} was given where an object of options belongs.`);
}

/** An option, else its variable. An empty variable counts as one that is not set, which is what shells and YAML files make of it. */
function readText(
  option: unknown,
  name: string,
  environment: Environment,
  variable: string,
): Sourced<string> | undefined {
  const given = readOption(option, name);
  if (given !== undefined) return given;
  const value = environment[variable]?.trim();
  return value ? { value, source: variable } : undefined;
}

function readOption(option: unknown, name: string): Sourced<string> | undefined {
  if (option === undefined) return undefined;
  // The value itself may be a secret: the message tells no more than its kind.
  const source = `the option ${name}`;
  if (typeof option !== 'string') {
    throw new ConfigurationError(`The option ${name} is ${kindOf(option)}: give a string, or leave it out.`);
  }
  const value = option.trim();
  if (value === '') throw new ConfigurationError(`The option ${name} is empty: give a value, or leave it out.`);
  return { value, source };
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : `of type ${typeof value}`;
}

function readUrl({ value, source }: Sourced<string>, protocols: readonly string[]): URL {
  const example = protocols.map((protocol) => `${protocol}//host`).join(', ');
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || !protocols.includes(url.protocol) || url.host === '') {
    // A URL may carry a password.
    const shown = url !== undefined && url.password === '' ? ` is ${describe(value)}, which` : '';
    throw new ConfigurationError(
      `${capitalize(source)}${shown} is no usable address: give one of the form ${example}.`,
    );
  }
  if (url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    throw new ConfigurationError(
      `${capitalize(source)} has a query, a fragment or credentials in it: give the plain address, of the form ${example}.`,
    );
  }
  return url;
}

function readDuration(
  options: EmbeddedSchedulerOptions,
  name: 'retention' | 'runTimeout' | 'cancelGrace' | 'shutdownGrace',
): number | undefined {
  const option = options[name];
  return option === undefined ? undefined : parseDuration(option, `The option scheduler.${name}`);
}

function readCount(option: unknown, name: string, most = Number.MAX_SAFE_INTEGER): number | undefined {
  if (option === undefined) return undefined;
  if (typeof option !== 'number' || !Number.isSafeInteger(option) || option < 1 || option > most) {
    throw new ConfigurationError(
      `The option ${name} is ${describe(option)}: give a whole number from 1 to ${most.toLocaleString('en-US')}.`,
    );
  }
  return option;
}

function readBoolean(option: unknown, name: string): boolean | undefined {
  if (option === undefined || typeof option === 'boolean') return option;
  throw new ConfigurationError(`The option ${name} is ${describe(option)}: give true or false.`);
}

function readOneOf<T extends string>(option: unknown, name: string, choices: readonly T[]): T | undefined {
  if (option === undefined) return undefined;
  const choice = choices.find((one) => one === option);
  if (choice !== undefined) return choice;
  throw new ConfigurationError(
    `The option ${name} is ${describe(option)}: give one of ${choices.map((one) => `'${one}'`).join(', ')}.`,
  );
}

function readErrorStatus(option: unknown): Status | undefined {
  if (option === undefined || isFailure(option)) return option;
  throw new ConfigurationError(
    `The option defaultErrorStatus is ${describe(option)}: give a status of an error, such as Status.TEMPORARY_ERROR.`,
  );
}

const capitalize = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
