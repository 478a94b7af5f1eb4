import { Logger, type Provider } from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost } from '@nestjs/core';
import { AbsentBackend, DispatchClient, RemoteBackend, RemoteResults } from './client/index.js';
import { CoroutineRuntime } from './coroutine/index.js';
import {
  DISPATCH_CLOCK,
  DISPATCH_ENDPOINT,
  DISPATCH_ENGINE,
  DISPATCH_MODULE_OPTIONS,
  DISPATCH_RUNNER,
  DISPATCH_SETTINGS,
  LOG_CONTEXT,
} from './dispatch.constants.js';
import type { DispatchModuleOptions } from './dispatch.options.js';
import { resolveSettings, type Settings } from './dispatch.settings.js';
import {
  BlockedRequests,
  endpointMiddleware,
  EndpointMount,
  FunctionEndpoint,
  isBelowPrefix,
  signerOf,
  verifierOf,
} from './endpoint/index.js';
import { ConfigurationError } from './errors/index.js';
import { BridgePoller, DispatchLifecycle, EmbeddedEngine, RemoteEngine, type DispatchEngine } from './engine/index.js';
import { SystemClock, type Clock, type FunctionRunner } from './protocol/index.js';
import { DispatchRegistry, FunctionExplorer } from './registry/index.js';
import { RemoteScheduler } from './remote/index.js';
import { createStore, StoreError, type Store } from './scheduler/index.js';

const log = new Logger(LOG_CONTEXT);

/** What the module is made of, from the options to the client. */
export const dispatchProviders: Provider[] = [
  FunctionExplorer,
  DispatchRegistry,
  RemoteResults,
  {
    provide: DISPATCH_SETTINGS,
    useFactory: (options: DispatchModuleOptions | undefined) => resolveSettings(options),
    inject: [DISPATCH_MODULE_OPTIONS],
  },
  { provide: DISPATCH_CLOCK, useFactory: () => new SystemClock() },
  {
    provide: DISPATCH_RUNNER,
    useFactory: createRunner,
    inject: [DISPATCH_SETTINGS, DispatchRegistry, DISPATCH_CLOCK],
  },
  {
    provide: DISPATCH_ENGINE,
    useFactory: createEngine,
    inject: [DISPATCH_SETTINGS, DispatchRegistry, DISPATCH_RUNNER, DISPATCH_CLOCK, RemoteResults],
  },
  {
    provide: DispatchClient,
    useFactory: (registry: DispatchRegistry, engine: DispatchEngine, clock: Clock) =>
      new DispatchClient(registry, engine.backend, clock),
    inject: [DispatchRegistry, DISPATCH_ENGINE, DISPATCH_CLOCK],
  },
  {
    provide: DISPATCH_ENDPOINT,
    useFactory: createEndpoint,
    inject: [
      DISPATCH_SETTINGS,
      DispatchRegistry,
      DISPATCH_RUNNER,
      RemoteResults,
      DISPATCH_CLOCK,
      HttpAdapterHost,
      ApplicationConfig,
    ],
  },
  {
    provide: DispatchLifecycle,
    useFactory: (settings: Settings, registry: DispatchRegistry, engine: DispatchEngine, runner: CoroutineRuntime) =>
      new DispatchLifecycle(settings, registry, engine, runner),
    inject: [DISPATCH_SETTINGS, DispatchRegistry, DISPATCH_ENGINE, DISPATCH_RUNNER],
  },
];

/** Runs the functions of the registry. */
export function createRunner(settings: Settings, functions: DispatchRegistry, clock: Clock): CoroutineRuntime {
  const { replay, maxLive, maxLiveBytes, defaultErrorStatus, mode, endpointUrl } = settings;
  return new CoroutineRuntime({
    functions,
    clock,
    log,
    replay,
    maxLive,
    maxLiveBytes,
    defaultErrorStatus,
    // The embedded scheduler knows by itself that a call without an endpoint stays in the application.
    endpointUrl: mode.kind === 'embedded' ? undefined : endpointUrl && addressOf(endpointUrl.value),
  });
}

/** What the mode of the settings says: the scheduler in the application, or what stands for one elsewhere. */
export function createEngine(
  settings: Settings,
  registry: DispatchRegistry,
  runner: FunctionRunner & { close(): void },
  clock: Clock,
  results: RemoteResults,
): DispatchEngine {
  const { mode, endpointUrl } = settings;
  switch (mode.kind) {
    case 'embedded': {
      const { value } = mode.store;
      const store = typeof value === 'string' ? storeOf(value) : value;
      const sign = mode.signingKey && signerOf(mode.signingKey, clock);
      return new EmbeddedEngine({ settings: mode, store, runner, registry, clock, log, sign });
    }
    case 'remote': {
      const scheduler = new RemoteScheduler(mode);
      const bridge = endpointUrl && bridgeTo(scheduler, endpointUrl.value, runner, results);
      return new RemoteEngine(new RemoteBackend(scheduler, endpointUrl, results), runner, bridge);
    }
    case 'endpoint':
      return new RemoteEngine(new AbsentBackend(), runner);
  }
}

/** What fetches the runs of an application without an address. */
function bridgeTo(
  scheduler: RemoteScheduler,
  endpoint: URL,
  runner: FunctionRunner,
  results: RemoteResults,
): BridgePoller | undefined {
  if (endpoint.protocol !== 'bridge:') return undefined;
  const onRun = results.observe.bind(results);
  return new BridgePoller({ scheduler, name: endpoint.host, runner, log, onRun });
}

/** @throws ConfigurationError when the setting names no store that there is */
function storeOf(setting: string): Store {
  try {
    return createStore(setting);
  } catch (error) {
    throw error instanceof StoreError ? new ConfigurationError(error.message, { cause: error }) : error;
  }
}

function createEndpoint(
  settings: Settings,
  functions: DispatchRegistry,
  runner: CoroutineRuntime,
  results: RemoteResults,
  clock: Clock,
  host: HttpAdapterHost,
  config: ApplicationConfig,
): EndpointMount {
  const { mode, endpointUrl, verificationKey, endpoint: options } = settings;
  const url = endpointUrl?.value;
  const open = mode.kind !== 'embedded' || verificationKey !== undefined || options.open;
  const endpoint = new FunctionEndpoint({
    runner,
    functions,
    open,
    verify: verificationKey && verifierOf(verificationKey, clock),
    // What a bridge sends on carries the address that it has found the application under.
    publicUrl: url?.protocol === 'bridge:' ? undefined : url,
    maxBodyBytes: options.maxBodyBytes,
    log,
    onRun: mode.kind === 'remote' ? (request, response) => results.observe(request, response) : undefined,
  });
  const isBasePath = (path: string): boolean => isBelowPrefix(config, path);
  const blocked = new BlockedRequests(isBasePath, log);
  const middleware = endpointMiddleware(endpoint, isBasePath, { onRequest: (request) => blocked.reach(request) });
  return new EndpointMount(host, middleware, open ? blocked : undefined);
}

const addressOf = (url: URL): string => url.href.replace(/\/$/, '');
