import { Option, type Command } from 'commander';
import { StandaloneScheduler, type StandaloneOptions } from '../standalone/index.js';
import type { Actions } from './command.line.js';
import { count, duration, file, repeated, secret, secrets } from './option.values.js';
import type { Output } from './output.js';
import { untilSignal } from './signals.js';

interface ServeOptions {
  readonly host: string;
  readonly port: number;
  readonly store: string;
  readonly apiKey?: readonly string[];
  readonly signingKey?: string;
  readonly allowEndpoint?: readonly string[];
  readonly dev?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly concurrency?: number;
  readonly runTimeout?: number;
  readonly retention?: number;
  readonly shutdownGrace: number;
}

const HELP = `
Every value that is a secret may be '@FILE'. Variables that hold several values separate them by spaces.

Examples:
  $ nestjs-dispatch serve                                    # on 127.0.0.1:8080, with ./.dispatch/dispatch.db
  $ nestjs-dispatch serve --host 0.0.0.0 --store /data/dispatch.db \\
      --api-key orders=@orders.key --api-key mails=@mails.key --signing-key @signing.key \\
      --allow-endpoint '*.svc.cluster.local'
  $ DISPATCH_API_KEYS='orders=sk_… mails=sk_…' nestjs-dispatch serve --host 0.0.0.0

Health: GET /healthz and /readyz. Metrics for Prometheus: GET /metrics. SIGTERM drains: no more calls are taken, runs in
flight end or are made again by the next start.`;

export function addServe(program: Command, actions: Actions): void {
  program
    .command('serve')
    .summary('run a scheduler for applications elsewhere')
    .description('Runs a scheduler that takes calls over HTTP, and runs them by calling the endpoints of applications.')
    .addOption(new Option('--host <address>', 'address to listen on').env('DISPATCH_HOST').default('127.0.0.1'))
    .addOption(
      new Option('--port <number>', 'port to listen on; 0: any that is free')
        .env('DISPATCH_PORT')
        .default(8080)
        .argParser(count('--port', 0, 65_535)),
    )
    .addOption(
      new Option('--store <store>', 'where calls are kept: a file, postgres://… or memory:')
        .env('DISPATCH_STORE')
        .default('./.dispatch/dispatch.db'),
    )
    .addOption(
      new Option('--api-key <key>', 'a key that clients send: KEY, or NAME=KEY for several; repeat it')
        .env('DISPATCH_API_KEYS')
        .argParser(repeated),
    )
    .addOption(
      new Option('--signing-key <key>', 'private key that requests to endpoints are signed with').env(
        'DISPATCH_SIGNING_KEY',
      ),
    )
    .addOption(
      new Option('--allow-endpoint <pattern>', 'an endpoint that may be called; repeat it (default: public addresses)')
        .env('DISPATCH_ALLOW_ENDPOINTS')
        .argParser(repeated),
    )
    .option('--dev', 'endpoints on this machine and in private networks may be called')
    .option('--tls-cert <file>', 'certificate, PEM')
    .option('--tls-key <file>', 'its key, PEM')
    .option('--concurrency <number>', 'runs at the same time (default: 100)', count('--concurrency', 1, 100_000))
    .option('--run-timeout <duration>', 'how long one run may take (default: 10m)', duration('--run-timeout'))
    .option('--retention <duration>', 'how long finished calls are kept (default: 7d)', duration('--retention'))
    .option(
      '--shutdown-grace <duration>',
      'how long runs in flight may take at the end',
      duration('--shutdown-grace'),
      10_000,
    )
    .addHelpText('after', HELP)
    .action(actions((output, options: ServeOptions) => serve(output, options)));
}

async function serve(output: Output, options: ServeOptions): Promise<void> {
  const log = output.log();
  const settings = settingsOf(options);
  const scheduler = new StandaloneScheduler({ ...settings, log });
  await scheduler.start();
  const ended = untilSignal(['SIGTERM', 'SIGINT']);
  const { apiKeys = [], signingKey } = settings;
  if (apiKeys.length === 0)
    log.warn('No API keys are set: everyone on this machine may dispatch calls and see all of them.');
  if (signingKey === undefined) {
    log.warn(
      "Requests to endpoints are not signed: make keys with 'nestjs-dispatch keys generate', and set --signing-key.",
    );
  }
  output.result({ url: scheduler.url }, () => `Listening on ${scheduler.url}`);
  log.log(`Ends with ${await ended}: no more calls are taken; runs in flight have ${options.shutdownGrace} ms.`);
  await scheduler.stop();
}

function settingsOf({
  apiKey,
  signingKey,
  allowEndpoint,
  tlsCert,
  tlsKey,
  ...options
}: ServeOptions): Omit<StandaloneOptions, 'log'> {
  const tls =
    tlsCert === undefined && tlsKey === undefined
      ? undefined
      : { cert: file(tlsCert ?? '', '--tls-cert'), key: file(tlsKey ?? '', '--tls-key') };
  return {
    ...options,
    tls,
    apiKeys: secrets(listed(apiKey), '--api-key').map((key) => namedSecret(key)),
    signingKey: signingKey === undefined ? undefined : secret(signingKey, '--signing-key'),
    allowEndpoints: listed(allowEndpoint),
  };
}

/** `NAME=@FILE` */
function namedSecret(key: string): string {
  const [, name, path] = /^([^=@]+=)(@.+)$/.exec(key) ?? [];
  return name === undefined || path === undefined ? key : `${name}${secret(path, '--api-key')}`;
}

/** What comes from a variable is one text. */
function listed(values: readonly string[] = []): string[] {
  return values.flatMap((value) => (value.startsWith('@') ? value : value.split(/\s+/).filter((part) => part !== '')));
}
