import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  Controller,
  Injectable,
  Logger,
  Module,
  Post,
  type INestApplication,
  type MiddlewareConsumer,
  type NestModule,
  type Provider,
  type Type,
} from '@nestjs/common';
import { APP_GUARD, HttpAdapterHost, NestFactory, type AbstractHttpAdapter } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { endpointMiddleware, type EndpointResponse } from '../../lib/endpoint/index.js';
import { DispatchFunction, DispatchModule, type DispatchModuleOptions } from '../../lib/index.js';
import { EndpointClient, generateKeyPair, pack } from '../../lib/testing/index.js';
import { FRAMEWORKS, portOf } from '../support/frameworks.js';

const PATH = '/dispatch.sdk.v1.FunctionService/Run';
const keys = generateKeyPair();

@Injectable()
class Texts {
  @DispatchFunction()
  async repeat(text: string): Promise<string> {
    return text + text;
  }
}

/** A route of the application, to see that what denies does so. */
@Controller('plain')
class Plain {
  @Post()
  plain(): string {
    return 'plain';
  }
}

class DenyingGuard {
  canActivate(): boolean {
    return false;
  }
}

const deny = (_request: IncomingMessage, response: ServerResponse): void => {
  response.statusCode = 401;
  response.end('who are you?');
};

jest.setTimeout(60_000);
const cleanUp: (() => unknown)[] = [];

afterEach(async () => {
  for (const clean of cleanUp.splice(0)) await clean();
  jest.restoreAllMocks();
});

interface World {
  readonly providers?: readonly Provider[];
  readonly imports?: readonly Type[];
  readonly configure?: (app: INestApplication) => unknown;
  /** What stands on the adapter's instance before the application is made with it. */
  readonly express?: (adapter: ExpressAdapter) => unknown;
  readonly fastify?: (adapter: FastifyAdapter) => unknown;
}

type Framework = (typeof FRAMEWORKS)[number];

async function start(
  framework: Framework,
  { providers = [], imports = [], configure, ...front }: World,
  options: DispatchModuleOptions = { verificationKey: keys.publicKey },
): Promise<INestApplication> {
  const module = {
    module: class AppModule {},
    imports: [...imports, DispatchModule.forRoot(options)],
    controllers: [Plain],
    providers: [Texts, ...providers],
  };
  const app = await NestFactory.create(module, adapterOf(framework, front), { logger: false });
  await configure?.(app);
  await app.listen(0, '127.0.0.1');
  cleanUp.push(() => app.close());
  return app;
}

function adapterOf(framework: Framework, front: Pick<World, 'express' | 'fastify'>): AbstractHttpAdapter {
  if (framework === 'express') {
    const adapter = new ExpressAdapter();
    front.express?.(adapter);
    return adapter;
  }
  const adapter = new FastifyAdapter();
  front.fastify?.(adapter);
  return adapter;
}

const repeat = { function: 'Texts.repeat', directive: { case: 'input' as const, value: pack('ab') } };

/** Runs the function as a scheduler does. */
async function run(app: INestApplication): Promise<string> {
  const client = EndpointClient.fromUrl(`http://127.0.0.1:${portOf(app)}`, { signingKey: keys.privateKey });
  const { directive } = await client.run(repeat);
  return directive.case === 'exit' ? Buffer.from(directive.value.result?.output?.value ?? []).toString() : '';
}

const plain = async (app: INestApplication): Promise<number> =>
  (await fetch(`http://127.0.0.1:${portOf(app)}/plain`, { method: 'POST' })).status;

function warnings(): () => string[] {
  const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  return () => warn.mock.calls.map(([message]) => String(message)).filter((message) => message.includes(PATH));
}

class DenyingMiddleware implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(deny).forRoutes('{*path}');
  }
}
Module({})(DenyingMiddleware);

describe.each(FRAMEWORKS)('what denies, on %s', (framework) => {
  it.each<[string, World, number]>([
    ['a guard of the application', { providers: [{ provide: APP_GUARD, useClass: DenyingGuard }] }, 403],
    ['useGlobalGuards', { configure: (app) => app.useGlobalGuards(new DenyingGuard()) }, 403],
    ['app.use', { configure: (app) => app.use(deny) }, 401],
    ['middleware of a module', { imports: [DenyingMiddleware] }, 401],
  ])('does not stand in front of the endpoint: %s', async (_what, world, status) => {
    const warned = warnings();
    const app = await start(framework, world);
    expect(await plain(app)).toBe(status);
    expect(await run(app)).toContain('abab');
    expect(warned()).toEqual([]);
  });

  it('does not stand in front of the endpoint: protection against forged requests', async () => {
    const app = await start(framework, { configure: (created) => created.enableCsrfProtection() });
    const headers = { 'sec-fetch-site': 'cross-site' };
    const forged = await fetch(`http://127.0.0.1:${portOf(app)}/plain`, { method: 'POST', headers });
    expect(forged.status).toBe(403);
    expect(await run(app)).toContain('abab');
  });

  const login: World = {
    express: (adapter) => adapter.use(deny),
    fastify: (adapter) => adapter.getInstance().addHook('onRequest', async (_request, reply) => reply.code(401).send()),
  };

  it('is named, once, where it does: it is older than the application', async () => {
    const warned = warnings();
    const app = await start(framework, login);
    await expect(run(app)).rejects.toThrow('HTTP status 401');
    await expect(run(app)).rejects.toThrow('HTTP status 401');
    expect(await plain(app)).toBe(401);
    expect(warned()).toEqual([
      expect.stringMatching(
        /^A request to the endpoint, POST \/dispatch\.sdk\.v1\.FunctionService\/Run, was answered with HTTP status 401 by something in front of it, .* Let POST requests of that path through there/,
      ),
    ]);
  });

  it('is named where a module adds it to the server itself, before the endpoint is there', async () => {
    const warned = warnings();
    @Module({})
    class Firewall {
      constructor(host: HttpAdapterHost) {
        host.httpAdapter.use(deny);
      }
    }
    const app = await start(framework, { imports: [Firewall] });
    await expect(run(app)).rejects.toThrow('HTTP status 401');
    expect(warned()).toHaveLength(1);
  });

  it('is not looked for while the endpoint is closed', async () => {
    const warned = warnings();
    const app = await start(framework, login, {});
    await expect(run(app)).rejects.toThrow('HTTP status 401');
    expect(warned()).toEqual([]);
  });

  it('may let the endpoint through', async () => {
    const warned = warnings();
    const app = await start(framework, {
      express: (adapter) =>
        adapter.use((request: IncomingMessage, response: ServerResponse, next: () => void) =>
          request.url === PATH ? next() : deny(request, response),
        ),
      fastify: (adapter) =>
        adapter
          .getInstance()
          .addHook('onRequest', async (request, reply) => (request.url === PATH ? undefined : reply.code(401).send())),
    });
    expect(await run(app)).toContain('abab');
    expect(await plain(app)).toBe(401);
    expect(warned()).toEqual([]);
  });

  it("is not taken for it when it is the endpoint's own refusal, a page's request, or another path", async () => {
    const warned = warnings();
    const open = await start(framework, {});
    const closed = await start(framework, login);
    const post = (app: INestApplication, path: string, headers: Record<string, string> = {}) =>
      fetch(`http://127.0.0.1:${portOf(app)}${path}`, { method: 'POST', headers, body: 'x' });
    expect((await post(open, PATH)).status).toBe(401);
    expect((await post(closed, PATH, { 'sec-fetch-site': 'cross-site' })).status).toBe(401);
    expect((await post(closed, '/else')).status).toBe(401);
    expect(warned()).toEqual([]);
  });
});

describe('what is on a Fastify instance', () => {
  it('comes after the endpoint when it is added to the application', async () => {
    const app = await start('fastify', {
      configure: (created) =>
        (created as NestFastifyApplication)
          .getHttpAdapter()
          .getInstance()
          .addHook('onRequest', async (_request, reply) => reply.code(401).send()),
    });
    expect(await plain(app)).toBe(401);
    expect(await run(app)).toContain('abab');
  });
});

async function serve(listener: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp.push(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('an Express application that is mounted in another one', () => {
  it('has its endpoint below that path', async () => {
    const inner = new ExpressAdapter();
    const outer = new ExpressAdapter();
    const dispatch = DispatchModule.forRoot({ verificationKey: keys.publicKey });
    const module = { module: class AppModule {}, imports: [dispatch], providers: [Texts] };
    const app = await NestFactory.create(module, inner, { logger: false });
    await app.init();
    cleanUp.push(() => app.close());
    outer.use('/inner', inner.getInstance());
    const url = await serve(outer.getInstance<(request: IncomingMessage, response: ServerResponse) => void>());
    const client = EndpointClient.fromUrl(`${url}/inner`, { signingKey: keys.privateKey });
    expect((await client.run(repeat)).directive.case).toBe('exit');
  });
});

describe('a time limit in front of the endpoint', () => {
  it('may be over first: its answer stands', async () => {
    const rejections: unknown[] = [];
    const onRejection = (reason: unknown): number => rejections.push(reason);
    process.on('unhandledRejection', onRejection);
    cleanUp.push(() => process.off('unhandledRejection', onRejection));
    let answer: (response: EndpointResponse) => void = () => undefined;
    let end = (): unknown => undefined;
    const handled = new Promise<EndpointResponse>((resolve) => (answer = resolve));
    const middleware = endpointMiddleware({ handle: () => handled }, (path) => path === '');
    const url = await serve((request, response) => {
      middleware(request, response, () => undefined);
      response.writeHead(503);
      response.write('too ');
      end = () => response.end('late');
    });
    const response = await fetch(url + PATH, { method: 'POST', body: 'x' });
    answer({ status: 200, headers: {}, body: new Uint8Array() });
    await new Promise((resolve) => setImmediate(resolve));
    end();
    expect([response.status, await response.text()]).toEqual([503, 'too late']);
    expect(rejections).toEqual([]);
  });
});
