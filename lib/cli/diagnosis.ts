import { create, toBinary } from '@bufbuild/protobuf';
import { resolveSettings, type RemoteSettings, type Settings } from '../dispatch.settings.js';
import { HttpExchange, methodUrl, PROTO_TYPE, RUN_PATH, signerOf, VALUES_HEADER } from '../endpoint/index.js';
import { RunRequestSchema } from '../gen/dispatch/sdk/v1/function_pb.js';
import { CallService } from '../gen/nestjs_dispatch/v1/calls_pb.js';
import { SystemClock } from '../protocol/index.js';
import { NoSuchMethodError, RemoteScheduler } from '../remote/index.js';
import { StoreLockedError, StoreOutdatedError } from '../scheduler/index.js';
import { parsePrivateKey, parsePublicKey, signRequest, verifyRequest, type PublicKey } from '../signature/index.js';
import { isMissing, storeName, usingStore } from './call.source.js';

/** What a check found. */
export interface Finding {
  readonly check: 'node' | 'settings' | 'keys' | 'store' | 'scheduler' | 'clock' | 'endpoint';
  readonly verdict: 'ok' | 'warning' | 'failed';
  /** What it is, and what to do about it. */
  readonly detail: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Signatures are from the future beyond this, in milliseconds. */
const CLOCK_TOLERANCE = 5_000;
const TIMEOUT = 5_000;
const MAX_REPLY_BYTES = 1_000_000;

/** Looks at all that an application, or a scheduler, with this environment depends on. */
export async function examine(environment: Environment): Promise<Finding[]> {
  const findings = [node()];
  let settings: Settings;
  try {
    settings = resolveSettings({}, environment);
  } catch (error) {
    return [...findings, failed('settings', error)];
  }
  findings.push(ok('settings', settingsText(settings)), keys(environment));
  if (settings.mode.kind === 'remote') findings.push(...(await scheduler(settings.mode)));
  if (settings.mode.kind === 'embedded' && typeof settings.mode.store.value === 'string') {
    findings.push(await store(settings.mode.store.value));
  }
  const url = settings.endpointUrl?.value;
  if (url !== undefined && url.protocol !== 'bridge:') findings.push(await endpoint(url, settings, environment));
  return findings;
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isNew = major > 20 || (major === 20 && minor >= 19);
  return isNew
    ? ok('node', `Node ${process.versions.node}`)
    : failed('node', new Error(`Node ${process.versions.node} is too old: use 20.19 or later.`));
}

function settingsText({ mode }: Settings): string {
  switch (mode.kind) {
    case 'embedded':
      return `the embedded scheduler (${mode.store.source} sets the store)`;
    case 'remote':
      return `the scheduler at ${mode.apiUrl.value.origin} (${mode.apiUrl.source})`;
    case 'endpoint':
      return 'no scheduler';
  }
}

function keys(environment: Environment): Finding {
  const { DISPATCH_VERIFICATION_KEY: verification, DISPATCH_SIGNING_KEY: signing } = environment;
  try {
    const publicKey = verification ? parsePublicKey(verification, 'DISPATCH_VERIFICATION_KEY') : undefined;
    const privateKey = signing ? parsePrivateKey(signing, 'DISPATCH_SIGNING_KEY') : undefined;
    if (publicKey && privateKey && !belongTogether(signing ?? '', publicKey)) {
      return failed(
        'keys',
        new Error(
          'DISPATCH_VERIFICATION_KEY is not the public key of DISPATCH_SIGNING_KEY: set both from one run of `keys generate`.',
        ),
      );
    }
    if (publicKey ?? privateKey) return ok('keys', 'the signature keys can be read');
    return warning(
      'keys',
      'no signature keys are set: an endpoint that others reach must verify requests (`keys generate`, DISPATCH_VERIFICATION_KEY)',
    );
  } catch (error) {
    return failed('keys', error);
  }
}

function belongTogether(signing: string, key: PublicKey): boolean {
  const request = {
    method: 'POST',
    url: 'http://localhost/',
    headers: { 'content-type': PROTO_TYPE },
    body: new Uint8Array(),
  };
  const headers = { ...request.headers, ...signRequest(request, parsePrivateKey(signing, 'DISPATCH_SIGNING_KEY')) };
  try {
    verifyRequest({ ...request, headers }, key);
    return true;
  } catch {
    return false;
  }
}

async function store(setting: string): Promise<Finding> {
  if (setting === 'memory:')
    return warning('store', 'memory: forgets all calls when the process ends: set DISPATCH_STORE to a file');
  if (isMissing(setting)) return ok('store', `${setting} is not there yet: the first start makes it`);
  try {
    const { calls } = await usingStore(setting, (source) => source.list({ limit: 1 }));
    return ok('store', `${storeName(setting)} can be used, and holds ${calls.length === 0 ? 'no calls' : 'calls'}`);
  } catch (error) {
    if (error instanceof StoreLockedError) return ok('store', error.message);
    if (error instanceof StoreOutdatedError) return warning('store', error.message);
    return failed('store', error);
  }
}

async function scheduler(mode: RemoteSettings): Promise<Finding[]> {
  const remote = new RemoteScheduler(mode);
  try {
    await remote.invoke(CallService.method.list, { limit: 1 }, { timeout: TIMEOUT });
    return [ok('scheduler', `${remote.origin} answers, and accepts the API key`), await clock(mode.apiUrl.value)];
  } catch (error) {
    if (error instanceof NoSuchMethodError) {
      return [
        warning(
          'scheduler',
          `${remote.origin} answers, but only takes calls (${error.message}): results, lists and cancellation need a scheduler of this package`,
        ),
      ];
    }
    return [failed('scheduler', error)];
  } finally {
    remote.close();
  }
}

/** A signature is made with the scheduler's clock and verified with the application's. */
async function clock(url: URL): Promise<Finding> {
  const response = await fetch(methodUrl(url, '/healthz'), {
    signal: AbortSignal.timeout(TIMEOUT),
    redirect: 'manual',
  });
  await response.body?.cancel();
  const theirs = Date.parse(response.headers.get('date') ?? '');
  if (Number.isNaN(theirs)) return warning('clock', 'the scheduler does not tell its time');
  // The header has whole seconds.
  const skew = Math.max(0, Math.abs(Date.now() - theirs) - 1_000);
  if (skew <= CLOCK_TOLERANCE) return ok('clock', 'the clocks of this machine and of the scheduler agree');
  return failed(
    'clock',
    new Error(
      `The clocks of this machine and of the scheduler are ${Math.round(skew / 1000)} s apart, so signatures will be refused: have both synchronized (NTP).`,
    ),
  );
}

/** Sends the application a request that it can only refuse: how it does tells what is wrong. */
async function endpoint(base: URL, { verificationKey }: Settings, environment: Environment): Promise<Finding> {
  const exchange = new HttpExchange(MAX_REPLY_BYTES);
  const url = methodUrl(base, RUN_PATH);
  const body = toBinary(RunRequestSchema, create(RunRequestSchema, { dispatchId: '0' }));
  const headers = { 'content-type': PROTO_TYPE };
  const signing = environment['DISPATCH_SIGNING_KEY'];
  try {
    const sign = signing ? signerOf({ value: signing, source: 'DISPATCH_SIGNING_KEY' }, new SystemClock()) : undefined;
    const signed = sign === undefined ? headers : await sign({ method: 'POST', url, headers, body });
    const { status, headers: answered } = await exchange.post(url, {
      headers: signed,
      body,
      signal: AbortSignal.timeout(TIMEOUT),
    });
    const isOurs = answered[VALUES_HEADER] !== undefined;
    switch (status) {
      case 400:
        if (sign === undefined && isOurs)
          return warning(
            'endpoint',
            `${base.origin} takes requests without a signature: set DISPATCH_VERIFICATION_KEY there`,
          );
        return ok('endpoint', `${base.origin} answers${sign === undefined ? '' : ', and accepts the signature'}`);
      case 401:
      case 403:
        if (sign === undefined) return ok('endpoint', `${base.origin} answers, and wants signed requests`);
        return failed(
          'endpoint',
          new Error(
            `${base.origin} refuses the signature (HTTP status ${status}): check that its DISPATCH_VERIFICATION_KEY is the public key of DISPATCH_SIGNING_KEY, and its DISPATCH_ENDPOINT_URL its public address.`,
          ),
        );
      case 404:
        return failed(
          'endpoint',
          new Error(
            `${base.origin} has no endpoint (HTTP status 404): check DISPATCH_ENDPOINT_URL, and that the application imports DispatchModule${verificationKey === undefined ? ' and has DISPATCH_VERIFICATION_KEY' : ''}.`,
          ),
        );
      default:
        return failed(
          'endpoint',
          new Error(
            `${base.origin} answers with HTTP status ${status}: check that DISPATCH_ENDPOINT_URL leads to the application.`,
          ),
        );
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return failed(
      'endpoint',
      new Error(
        `${base.origin} cannot be reached: ${reason}. Check DISPATCH_ENDPOINT_URL, and that the application runs.`,
      ),
    );
  } finally {
    exchange.close();
  }
}

const ok = (check: Finding['check'], detail: string): Finding => ({ check, verdict: 'ok', detail });
const warning = (check: Finding['check'], detail: string): Finding => ({ check, verdict: 'warning', detail });
const failed = (check: Finding['check'], error: unknown): Finding => ({
  check,
  verdict: 'failed',
  detail: error instanceof Error ? error.message : String(error),
});
