import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect, type IncomingHttpStatusHeader } from 'node:http2';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import compress from '@fastify/compress';
import fastifyHelmet from '@fastify/helmet';
import {
  Body,
  Controller,
  Injectable,
  Post,
  ValidationPipe,
  VersioningType,
  type CallHandler,
  type ExceptionFilter,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE, NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import compression from 'compression';
import helmet from 'helmet';
import { map, type Observable } from 'rxjs';
import { DispatchFunction, DispatchModule, type DispatchModuleOptions } from '../../lib/index.js';
import { RunRequestSchema, RunResponseSchema } from '../../lib/proto.js';
import { generateKeyPair, parsePrivateKey, signRequest } from '../../lib/signature/index.js';
import { pack, unpack } from '../../lib/values/index.js';
import { FRAMEWORKS, listen, portOf, type Setup } from '../support/frameworks.js';

const PATH = '/dispatch.sdk.v1.FunctionService/Run';
const keys = generateKeyPair();
const key = parsePrivateKey(keys.privateKey, 'the key');
const signedOnly: DispatchModuleOptions = { verificationKey: keys.publicKey };

@Injectable()
class Texts {
  @DispatchFunction()
  async repeat(text: string): Promise<string> {
    return text + text;
  }

  @DispatchFunction()
  async fail(): Promise<void> {
    throw new TypeError('as it should');
  }
}

/** The application's own route, which must go on as before. */
@Controller({ path: 'echo', version: '1' })
class Echo {
  @Post()
  echo(@Body() body: unknown): unknown {
    return { body };
  }
}

class Denying {
  canActivate(): boolean {
    return false;
  }
}

class Wrapping implements NestInterceptor {
  intercept(_context: unknown, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((data: unknown) => ({ wrapped: data })));
  }
}

class Hiding implements ExceptionFilter {
  catch(): never {
    throw new Error('the filter was asked');
  }
}

/** The first application of a framework loads all of it. */
jest.setTimeout(60_000);
const running: INestApplication[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});

const moduleOf = (dispatch: object, providers: readonly object[] = []): object => ({
  module: class AppModule {},
  imports: [dispatch],
  controllers: [Echo],
  providers: [Texts, ...providers],
});

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function send(port: number, path: string, headers: Record<string, string>, body: Uint8Array): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const options = { port, path, method: 'POST', headers: { ...headers, 'content-length': body.length } };
    const request = httpRequest({ host: '127.0.0.1', ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    request.on('error', reject);
    request.end(body);
  });
}

const runOf = (name: string, argument: unknown): Uint8Array =>
  toBinary(
    RunRequestSchema,
    create(RunRequestSchema, { function: name, directive: { case: 'input', value: pack(argument) } }),
  );

/** Runs a function as a scheduler does, signed, and tells its output. */
async function run(
  app: INestApplication,
  base = '',
  argument: unknown = 'ab',
  name = 'Texts.repeat',
): Promise<unknown> {
  const body = runOf(name, argument);
  const host = `127.0.0.1:${portOf(app)}`;
  const headers = { 'content-type': 'application/proto', 'accept-encoding': 'gzip, br' };
  const signature = signRequest({ method: 'POST', url: `http://${host}${base}${PATH}`, headers, body }, key);
  const reply = await send(portOf(app), base + PATH, { host, ...headers, ...signature }, body);
  expect({ status: reply.status, type: reply.headers['content-type'] }).toEqual({
    status: 200,
    type: 'application/proto',
  });
  expect(reply.headers['content-encoding']).toBeUndefined();
  const { directive } = fromBinary(RunResponseSchema, reply.body);
  const result = directive.case === 'exit' ? directive.value.result : undefined;
  return result?.error === undefined ? unpack(result?.output) : result.error.message;
}

async function echo(app: INestApplication, path = '/echo'): Promise<unknown> {
  const body = Buffer.from('{"a":1}');
  const reply = await send(portOf(app), path, { 'content-type': 'application/json' }, body);
  return JSON.parse(reply.body.toString());
}

const refusal = async (app: INestApplication, path = PATH): Promise<[number, unknown]> => {
  const reply = await send(portOf(app), path, { 'content-type': 'application/proto' }, runOf('Texts.repeat', 'ab'));
  return [reply.status, JSON.parse(reply.body.toString())];
};

describe.each(FRAMEWORKS)('the endpoint on %s', (framework) => {
  const start = async (
    setup: Setup = {},
    providers: readonly object[] = [],
    options: DispatchModuleOptions = signedOnly,
  ): Promise<INestApplication> => {
    const app = await listen(framework, moduleOf(DispatchModule.forRoot(options), providers), setup);
    running.push(app);
    return app;
  };

  it('runs functions beside the routes of the application', async () => {
    const app = await start();
    expect(await run(app)).toBe('abab');
    expect(await run(app, '', undefined, 'Texts.fail')).toBe('as it should');
    expect(await echo(app)).toEqual({ body: { a: 1 } });
  });

  it('refuses what is not signed', async () => {
    const app = await start();
    expect(await refusal(app)).toMatchObject([401, { code: 'unauthenticated' }]);
  });

  it('is closed beside the embedded scheduler, unless a key or the option opens it', async () => {
    expect(await refusal(await start({}, [], {}))).toEqual([
      404,
      { code: 'not_found', message: 'there is no such path' },
    ]);
    expect(await run(await start({}, [], { endpoint: { open: true } }))).toBe('abab');
  });

  it('is below a global prefix', async () => {
    const app = await start({ configure: (created) => created.setGlobalPrefix('api/v1') });
    expect(await run(app, '/api/v1')).toBe('abab');
    expect(await echo(app, '/api/v1/echo')).toEqual({ body: { a: 1 } });
    expect((await send(portOf(app), PATH, {}, runOf('Texts.repeat', 'ab'))).status).toBe(404);
  });

  it('has no version where routes have one', async () => {
    const app = await start({
      configure: (created) => created.setGlobalPrefix('api').enableVersioning({ type: VersioningType.URI }),
    });
    expect(await run(app, '/api')).toBe('abab');
    expect(await echo(app, '/api/v1/echo')).toEqual({ body: { a: 1 } });
  });

  it('is no matter of guards, which hold for the routes', async () => {
    const app = await start({}, [{ provide: APP_GUARD, useClass: Denying }]);
    expect(await run(app)).toBe('abab');
    expect(await refusal(app)).toMatchObject([401, { code: 'unauthenticated' }]);
    expect(await echo(app)).toMatchObject({ statusCode: 403 });
  });

  it('answers in its own form, whatever interceptors, filters and pipes make of other answers', async () => {
    const app = await start({}, [
      { provide: APP_INTERCEPTOR, useClass: Wrapping },
      { provide: APP_FILTER, useClass: Hiding },
      { provide: APP_PIPE, useFactory: () => new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true }) },
    ]);
    expect(await run(app)).toBe('abab');
    expect(await run(app, '', undefined, 'Texts.fail')).toBe('as it should');
    expect(await refusal(app)).toMatchObject([401, { code: 'unauthenticated' }]);
    expect(await echo(app)).toEqual({ wrapped: { body: { a: 1 } } });
  });

  it('sends its answers as they are beside helmet and compression', async () => {
    const app = await start({
      express: (created) => {
        created.use(helmet());
        created.use(compression({ threshold: 0 }));
      },
      fastify: async (created) => {
        await created.register(fastifyHelmet);
        await created.register(compress, { threshold: 0 });
      },
    });
    expect(await run(app, '', 'x'.repeat(100_000))).toBe('x'.repeat(200_000));
    const headers = { 'content-type': 'application/json', 'accept-encoding': 'gzip' };
    const reply = await send(portOf(app), '/echo', headers, Buffer.from(JSON.stringify({ a: 'x'.repeat(10_000) })));
    expect(reply.headers).toMatchObject({ 'content-encoding': 'gzip', 'x-content-type-options': 'nosniff' });
  });

  it.each([true, false])(
    'reads the bytes itself with rawBody: %s and small limits of body parsers',
    async (rawBody) => {
      const app = await start({
        options: { rawBody },
        express: (created) => created.useBodyParser('json', { limit: 100 }).useBodyParser('raw', { limit: 100 }),
        fastify: async (created) => {
          created.useBodyParser('application/proto', { bodyLimit: 100 });
          created.useBodyParser('application/json', { bodyLimit: 100 });
        },
      });
      expect(await run(app, '', 'x'.repeat(5_000_000))).toHaveLength(10_000_000);
      expect(await echo(app)).toEqual({ body: { a: 1 } });
      const big = Buffer.from(JSON.stringify({ a: 'x'.repeat(1000) }));
      expect((await send(portOf(app), '/echo', { 'content-type': 'application/json' }, big)).status).toBe(413);
    },
  );

  it('does without any body parser', async () => {
    const app = await start({ options: { bodyParser: false } });
    expect(await run(app)).toBe('abab');
  });

  it('comes with forRootAsync as well', async () => {
    const dispatch = DispatchModule.forRootAsync({
      useFactory: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        return signedOnly;
      },
    });
    const app = await listen(framework, moduleOf(dispatch), {
      configure: (created) => created.setGlobalPrefix('late'),
    });
    running.push(app);
    expect(await run(app, '/late')).toBe('abab');
    expect((await refusal(app, `/late${PATH}`))[0]).toBe(401);
  });

  it('serves each of several applications in one process by its own settings', async () => {
    const prefixed = await start({ configure: (created) => created.setGlobalPrefix('one') });
    const open = await start({}, [], { endpoint: { open: true } });
    const closed = await start({}, [], {});
    expect(await Promise.all([run(prefixed, '/one'), run(open)])).toEqual(['abab', 'abab']);
    expect((await refusal(closed))[0]).toBe(404);
    expect((await refusal(prefixed, `/one${PATH}`))[0]).toBe(401);
    await open.close();
    running.splice(running.indexOf(open), 1);
    expect(await run(prefixed, '/one')).toBe('abab');
  });
});

describe('the endpoint on HTTP/2', () => {
  it('takes requests that are signed for the authority, and no others', async () => {
    const module = { module: class AppModule {}, imports: [DispatchModule.forRoot(signedOnly)], providers: [Texts] };
    const app = await NestFactory.create(module, new FastifyAdapter({ http2: true }), { logger: false });
    await app.listen(0, '127.0.0.1');
    running.push(app);
    const origin = `http://127.0.0.1:${portOf(app)}`;
    const session = connect(origin);
    const body = runOf('Texts.repeat', 'ab');
    const statusOf = async (signedFor: string): Promise<unknown> => {
      const headers = { 'content-type': 'application/proto' };
      const signature = signRequest({ method: 'POST', url: signedFor + PATH, headers, body }, key);
      const length = { 'content-length': String(body.length) };
      const stream = session.request({ ':method': 'POST', ':path': PATH, ...headers, ...signature, ...length });
      stream.end(body);
      const [answer] = (await once(stream, 'response')) as [IncomingHttpStatusHeader];
      return answer[':status'];
    };
    expect(await statusOf(origin)).toBe(200);
    expect(await statusOf('http://elsewhere')).toBe(403);
    session.destroy();
  });
});
