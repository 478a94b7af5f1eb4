import type { Milliseconds, RetryPolicy, SchedulerLog, Store } from '../scheduler/index.js';
import type { TlsSettings } from './http.listener.js';
import type { CallObserver } from './metered.store.js';

export interface StandaloneOptions {
  /** Where calls are kept: `memory:`, the path of a file, or a store that is not open. */
  readonly store: string | Store;
  /** Where one line is written for what someone should know. */
  readonly log: SchedulerLog;
  /** The port to listen on; 0: any that is free. Default 8080. */
  readonly port?: number;
  /** The address to listen on. Default `'127.0.0.1'`; another one needs API keys. */
  readonly host?: string;
  /** Certificate and key of the server. Default: no TLS. */
  readonly tls?: TlsSettings;
  /**
   * Keys that clients send: `'KEY'`, or `'NAME=KEY'` for several that see nothing of each other's calls; `sha256:…` in
   * place of a key. Default: everyone on this machine is let in.
   */
  readonly apiKeys?: readonly string[];
  /** The private key that requests to endpoints are signed with: PEM or base64. Default: they are not signed. */
  readonly signingKey?: string;
  /**
   * Which endpoints may be called: `'https://orders.example.com'`, `'*.svc.cluster.local'`, `'10.0.0.0/8'`. Default: all at
   * public addresses. Link-local addresses and metadata services never are.
   */
  readonly allowEndpoints?: readonly string[];
  /** For development: endpoints on this machine and in private networks may be called. Default false. */
  readonly dev?: boolean;
  /** Runs at the same time. Default 100. */
  readonly concurrency?: number;
  /** How long one run may take. Default 10 min. */
  readonly runTimeout?: Milliseconds;
  /** How long finished calls are kept. Default 7 days. */
  readonly retention?: Milliseconds;
  /** How long a cancelled call may clean up. Default 1 min. */
  readonly cancelGrace?: Milliseconds;
  /** How long `stop` waits for runs in flight. Default 10,000 ms. */
  readonly shutdownGrace?: Milliseconds;
  /** When failed runs are made again. Default: after 100 ms, doubling up to 1 min, without an end. */
  readonly retry?: RetryPolicy;
  /** Is told of what is recorded, for a display. */
  readonly observer?: CallObserver;
}
