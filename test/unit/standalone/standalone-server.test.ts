import { afterEach, describe, expect, it } from '@jest/globals';
import { createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DispatchService } from '../../../lib/gen/dispatch/sdk/v1/dispatch_pb.js';
import { CallService, CallState } from '../../../lib/gen/nestjs_dispatch/v1/calls_pb.js';
import { ConfigurationError } from '../../../lib/index.js';
import { StandaloneScheduler } from '../../../lib/standalone/index.js';
import { StandaloneWorld } from '../../support/standalone-world.js';

const KEY = 'sk_0123456789abcdef';
const world = new StandaloneWorld();
const servers: Server[] = [];
afterEach(async () => {
  await world.end();
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

const HEADERS = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
const DISPATCH = '/dispatch.sdk.v1.DispatchService/Dispatch';

async function post(url: string, body: unknown, headers: Record<string, string> = HEADERS): Promise<Response> {
  return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
}

describe('the services', () => {
  const call = { endpoint: 'bridge://nobody', function: 'f' };

  it.each<[string, (baseUrl: string) => Transport]>([
    ['Connect over HTTP/1.1', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1' })],
    ['Connect over HTTP/2', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '2' })],
    ['Connect in JSON', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1', useBinaryFormat: false })],
    ['gRPC', (baseUrl) => createGrpcTransport({ baseUrl })],
    ['gRPC-Web over HTTP/1.1', (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '1.1' })],
    ['gRPC-Web over HTTP/2', (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '2' })],
  ])('are there over %s', async (_name, transportTo) => {
    const scheduler = await world.scheduler({ apiKeys: [KEY] });
    const transport = transportTo(scheduler.url);
    const options = { headers: { authorization: `Bearer ${KEY}` } };
    const { dispatchIds } = await createClient(DispatchService, transport).dispatch({ calls: [call, call] }, options);
    expect(dispatchIds).toHaveLength(2);
    const answer = await createClient(CallService, transport).get({ dispatchId: dispatchIds[0] }, options);
    expect(answer.call).toMatchObject({ function: 'f', endpoint: 'bridge://nobody' });
    const wrong = createClient(CallService, transport).get({ dispatchId: dispatchIds[0] });
    await expect(wrong).rejects.toThrow(/unauthenticated/i);
  });

  it('take all calls of a request, or none', async () => {
    const { url } = await world.scheduler({ apiKeys: [KEY] });
    for (const [bad, message] of [
      [{ endpoint: 'http://127.0.0.1', function: 'not a name' }, 'does not match'],
      [{ function: 'f' }, 'names no endpoint'],
      [{ endpoint: 'local:', function: 'f' }, 'cannot be called'],
      [{ endpoint: 'dispatch:', function: 'wait' }, 'cannot be called'],
      [{ endpoint: 'arn:aws:lambda:x', function: 'f' }, 'cannot be called'],
    ] as const) {
      const response = await post(url + DISPATCH, { calls: [call, bad] });
      expect(response.status).toBe(400);
      const text = await response.text();
      expect(JSON.parse(text)).toMatchObject({ code: 'invalid_argument' });
      expect(text).toContain(message);
    }
    const listed = await post(`${url}/nestjs_dispatch.v1.CallService/List`, {});
    await expect(listed.json()).resolves.toEqual({});
  });

  it('refuse a request without its key before its body has come', async () => {
    const { url } = await world.scheduler({ apiKeys: [KEY] });
    const status = await new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/proto', 'content-length': '10000000' };
      const sent = request(url + DISPATCH, { method: 'POST', headers }, (response) => {
        resolve(response.statusCode);
        sent.destroy();
      });
      sent.once('error', reject);
      sent.write('a few bytes');
    });
    expect(status).toBe(401);
  });

  it('refuse what is larger than a message', async () => {
    const { url } = await world.scheduler({ apiKeys: [KEY] });
    const response = await post(url + DISPATCH, { calls: [{ ...call, version: 'x'.repeat(16_000_001) }] });
    expect(response.status).toBe(429);
    await expect(response.json()).resolves.toMatchObject({ code: 'resource_exhausted' });
  });

  it('answer a long poll with what is known by then', async () => {
    const { url } = await world.scheduler({ apiKeys: [KEY] });
    const { dispatchIds } = (await (await post(url + DISPATCH, { calls: [call] })).json()) as { dispatchIds: string[] };
    const wait = `${url}/nestjs_dispatch.v1.CallService/Wait`;
    const unfinished = await post(wait, { dispatchId: dispatchIds[0], timeout: '0.01s' });
    await expect(unfinished.json()).resolves.toEqual({ unfinished: {} });
    const waiting = post(wait, { dispatchId: dispatchIds[0] });
    await post(`${url}/nestjs_dispatch.v1.CallService/Cancel`, { dispatchId: dispatchIds[0] });
    await expect((await waiting).json()).resolves.toMatchObject({
      outcome: { state: CallState[CallState.CANCELLED].replace(/^/, 'CALL_STATE_') },
    });
  });
});

describe('a scheduler without API keys', () => {
  it('listens on this machine only', () => {
    const log = { log: ignore, warn: ignore, error: ignore };
    for (const host of ['0.0.0.0', '::', 'scheduler.example.com']) {
      expect(() => new StandaloneScheduler({ store: 'memory:', host, log })).toThrow(ConfigurationError);
    }
  });

  it.each([
    [{ 'sec-fetch-site': 'cross-site' }],
    [{ origin: 'https://evil.example.com' }],
    [{ host: 'rebind.example.com' }],
  ])('serves no page of a browser: %j', async (headers) => {
    const { url } = await world.scheduler();
    const status = await new Promise((resolve, reject) => {
      const sent = request(`${url}/nestjs_dispatch.v1.CallService/List`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
      });
      sent.once('response', (response) => resolve(response.resume().statusCode));
      sent.once('error', reject);
      sent.end('{}');
    });
    expect(status).toBe(403);
  });
});

describe('health and metrics', () => {
  it('tell that the scheduler is there, whether it is ready, and what it has done', async () => {
    const scheduler = await world.scheduler({ apiKeys: [KEY] });
    expect((await fetch(`${scheduler.url}/healthz`)).status).toBe(200);
    expect((await fetch(`${scheduler.url}/readyz`)).status).toBe(200);
    await post(scheduler.url + DISPATCH, { calls: [{ endpoint: 'bridge://nobody', function: 'f' }] });
    const response = await fetch(`${scheduler.url}/metrics`);
    expect(response.headers.get('content-type')).toContain('text/plain');
    const lines = (await response.text()).split('\n');
    expect(lines).toContain('dispatch_calls_created_total{kind="root"} 1');
    expect(lines).toContain('dispatch_calls{state="running"} 1');
    expect(lines).toContain('dispatch_store_up 1');
    expect(lines).toContain('dispatch_requests_total{method="dispatch.sdk.v1.DispatchService/Dispatch",code="ok"} 1');
    expect(lines.some((line) => line.startsWith('dispatch_store_commit_duration_seconds_count '))).toBe(true);
    expect(lines.some((line) => line.startsWith('process_cpu_seconds_total '))).toBe(true);
  });
});

describe('calls of endpoints', () => {
  async function endpoint(answer: RequestListener): Promise<string> {
    const server = createServer(answer);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://localhost:${(server.address() as AddressInfo).port}`;
  }

  async function outcome(url: string, call: object): Promise<string> {
    const dispatched = await post(url + DISPATCH, { calls: [call] });
    const { dispatchIds } = (await dispatched.json()) as { dispatchIds: string[] };
    const waited = await post(`${url}/nestjs_dispatch.v1.CallService/Wait`, { dispatchId: dispatchIds[0] });
    return waited.text();
  }

  it('do not reach this machine, whatever name leads there, unless that is allowed', async () => {
    let requests = 0;
    const address = await endpoint((_request, response) => {
      requests += 1;
      response.writeHead(404).end();
    });
    const closed = await world.scheduler({ apiKeys: [KEY], dev: false });
    expect(await outcome(closed.url, { endpoint: address, function: 'f' })).toContain('it is not at a public address');
    expect(requests).toBe(0);
    const open = await world.scheduler({ apiKeys: [KEY], dev: false, allowEndpoints: [new URL(address).host] });
    expect(await outcome(open.url, { endpoint: address, function: 'f' })).toContain('HTTP status 404');
    expect(requests).toBe(1);
  });

  it('do not follow redirects', async () => {
    let followed = 0;
    const target = await endpoint((_request, response) => {
      followed += 1;
      response.end();
    });
    const address = await endpoint((_request, response) => response.writeHead(307, { location: target }).end());
    const { url } = await world.scheduler({ apiKeys: [KEY] });
    expect(await outcome(url, { endpoint: address, function: 'f' })).toContain('HTTP status 307');
    expect(followed).toBe(0);
  });
});

describe('TLS', () => {
  it('is spoken with a certificate, over HTTP/1.1 and HTTP/2', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dispatch-tls-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
        ...['-keyout', key, '-out', cert, '-subj', '/CN=localhost'],
      ],
      { stdio: 'ignore' },
    );
    const tls = { cert: readFileSync(cert), key: readFileSync(key) };
    rmSync(folder, { recursive: true });
    const scheduler = await world.scheduler({ apiKeys: [KEY], tls });
    expect(scheduler.url).toMatch(/^https:/);
    for (const httpVersion of ['1.1', '2'] as const) {
      const nodeOptions = { rejectUnauthorized: false };
      const transport = createConnectTransport({ baseUrl: scheduler.url, httpVersion, nodeOptions });
      const options = { headers: { authorization: `Bearer ${KEY}` } };
      await expect(createClient(CallService, transport).list({}, options)).resolves.toMatchObject({ calls: [] });
    }
  });
});

function ignore(): void {}
