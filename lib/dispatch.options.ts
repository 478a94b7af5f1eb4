import type { FactoryProvider, ModuleMetadata, Type } from '@nestjs/common';
import type { DurationInput } from './decorators/index.js';
import type { Status } from './errors/index.js';
import type { Store } from './scheduler/index.js';

/** The options of `DispatchModule.forRoot()`. All of them may be left out. */
export interface DispatchModuleOptions {
  /**
   * The address under which a scheduler reaches this application, without the route: `https://app.example.com`. Schemes
   * http, https and bridge. Default: `DISPATCH_ENDPOINT_URL`. Needed with a remote scheduler as soon as there are
   * functions. Signatures are checked against its host, which is what a proxy in front of the application hides.
   */
  endpointUrl?: string;
  /** What proves to a remote scheduler who this application is. Default: `DISPATCH_API_KEY`, else none is sent. */
  apiKey?: string;
  /** The address of a remote scheduler. Default: `DISPATCH_API_URL`. Left out: the embedded scheduler is used. */
  apiUrl?: string;
  /**
   * The public key that requests to the endpoint must be signed with: PEM, or base64 of the 32 bytes. Default:
   * `DISPATCH_VERIFICATION_KEY`. Left out: requests are not verified.
   */
  verificationKey?: string;
  /** The embedded scheduler, or false for none: then functions run when another scheduler calls the endpoint. */
  scheduler?: EmbeddedSchedulerOptions | false;
  /** The HTTP route that a scheduler calls. */
  endpoint?: EndpointOptions;
  /**
   * What happens when a durable method is called outside of any durable function: it runs in place silently (`'run'`),
   * with one warning for each method (`'warn'`, the default), or its promise rejects (`'error'`).
   */
  outside?: 'run' | 'warn' | 'error';
  /**
   * How suspended functions go on. `'live'` (default): with the instance that waits in memory, else by replay.
   * `'always'`: by replay every time, which finds code that is not deterministic; for tests.
   */
  replay?: 'live' | 'always';
  /** The status of errors that nothing else sorts. Default: `Status.PERMANENT_ERROR`, which is not retried. */
  defaultErrorStatus?: Status;
  /** Suspended functions that are kept in memory, at most. Default: the runtime's. */
  maxLive?: number;
  /** How many bytes they may take together, at most. Default: the runtime's. */
  maxLiveBytes?: number;
  /** Whether `DispatchClient` can be injected everywhere without importing the module again. Default: true. */
  isGlobal?: boolean;
}

export interface EmbeddedSchedulerOptions {
  /**
   * Where calls are kept: `memory:`, the path of a file, or a store object. Default: `DISPATCH_STORE`, else `memory:` in
   * tests (`NODE_ENV=test`, Jest, Vitest), else `./.dispatch/dispatch.db`.
   */
  store?: string | Store;
  /** False: calls are dispatched and inspected here, but not run. Default: true. */
  run?: boolean;
  /** How many runs may be in flight at once in this process. Default: the scheduler's. */
  concurrency?: number;
  /**
   * Limits for endpoints of other applications, by the address that calls name. Below its limit an endpoint is given as
   * many runs as its answers show it can take. Default: none of their own.
   */
  endpoints?: Record<string, EndpointLimits>;
  /** How long finished calls are kept. Default: the scheduler's. */
  retention?: DurationInput;
  /** How long one run may take, until its function exits or suspends. Default: 10 min. */
  runTimeout?: DurationInput;
  /** How long a cancelled call may go on to clean up. Default: 1 min. */
  cancelGrace?: DurationInput;
  /** How long the application waits at its end for functions that are running. The rest goes on after the next start. Default: 10 s. */
  shutdownGrace?: DurationInput;
  /** The private key that calls of other applications are signed with: PEM, or base64 of the 32 bytes. Default: not signed. */
  signingKey?: string;
}

export interface EndpointLimits {
  /** How many runs of its functions may be in flight at once from this process. Default: `scheduler.concurrency`. */
  concurrency?: number;
}

export interface EndpointOptions {
  /**
   * Beside the embedded scheduler the route answers 404 until a verification key is set, so that nobody can run
   * functions by posting to it. True opens it to everyone who can reach it. Default: false.
   */
  open?: boolean;
  /** The largest request, in bytes. Default: 16,000,000, the protocol's limit. */
  maxBodyBytes?: number;
}

/** Makes the options, for `forRootAsync({ useClass })` and `({ useExisting })`. */
export interface DispatchOptionsFactory {
  createDispatchOptions(): DispatchModuleOptions | Promise<DispatchModuleOptions>;
}

/** The options of `DispatchModule.forRootAsync()`: exactly one of `useFactory`, `useClass` and `useExisting`. */
export interface DispatchModuleAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  // A factory's parameters are whatever it injects.
  useFactory?: (...dependencies: never[]) => DispatchModuleOptions | Promise<DispatchModuleOptions>;
  useClass?: Type<DispatchOptionsFactory>;
  useExisting?: Type<DispatchOptionsFactory>;
  inject?: FactoryProvider['inject'];
  /** Default: true. It cannot come from the factory, because Nest must know it before. */
  isGlobal?: boolean;
}
