import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Injectable, Post, type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import request from 'supertest';
import { DispatchClient, DispatchFunction, DispatchModule, gather, sleep } from '../../lib/index.js';

@Injectable()
class Publisher {
  readonly published: string[] = [];

  @DispatchFunction()
  async publish(url: string, payload: unknown): Promise<number> {
    this.published.push(`${url} ${String(payload)}`);
    return url.length;
  }
}

@Injectable()
class Pipeline {
  constructor(private readonly publisher: Publisher) {}

  @DispatchFunction({ name: 'pipeline' })
  async run(urls: string[]): Promise<number[]> {
    await sleep(5);
    return gather(urls.map((url) => this.publisher.publish(url, 'hi')));
  }
}

@Controller()
class AppController {
  constructor(
    private readonly dispatch: DispatchClient,
    private readonly pipeline: Pipeline,
  ) {}

  @Post()
  start(): Promise<string> {
    return this.dispatch.of(this.pipeline).run(['https://a', 'https://bc']).dispatch();
  }

  @Get()
  now(): Promise<number[]> {
    return this.dispatch.of(this.pipeline).run(['https://a']).result();
  }
}

describe('an application with durable functions', () => {
  let app: INestApplication;

  afterEach(() => app.close());

  async function start(): Promise<void> {
    const module = await Test.createTestingModule({
      imports: [DispatchModule.forRoot()],
      controllers: [AppController],
      providers: [Pipeline, Publisher],
    }).compile();
    app = module.createNestApplication();
    await app.init();
  }

  it('dispatches a function, which fans out to others, and tells its result', async () => {
    await start();
    const started = await request(app.getHttpServer()).post('/').expect(201);
    expect(started.text).toMatch(/^[0-9a-f]{32}$/);
    await expect(app.get(DispatchClient).wait(started.text)).resolves.toEqual([9, 10]);
    expect(app.get(Publisher).published.sort()).toEqual(['https://a hi', 'https://bc hi']);
  });

  it('awaits a function in a request', async () => {
    await start();
    const { body } = await request(app.getHttpServer()).get('/').expect(200);
    expect(body).toEqual([9]);
  });
});
