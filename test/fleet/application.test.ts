import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, Module, type INestApplicationContext, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DispatchClient, DispatchFunction, DispatchModule } from '../../lib/index.js';
import { TestDatabase } from '../support/postgres.js';

let database: TestDatabase;
const apps: INestApplicationContext[] = [];
const before = process.env['DISPATCH_STORE'];
beforeAll(async () => {
  database = await TestDatabase.open();
});
beforeEach(() => {
  process.env['DISPATCH_STORE'] = database.newUrl();
});
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
  if (before === undefined) delete process.env['DISPATCH_STORE'];
  else process.env['DISPATCH_STORE'] = before;
});
afterAll(() => database.close());

@Injectable()
class Greeter {
  @DispatchFunction({ name: 'greet' })
  async greet(name: string): Promise<string> {
    return `Hello, ${name}`;
  }
}

@Injectable()
class Letter {
  constructor(private readonly greeter: Greeter) {}

  @DispatchFunction({ name: 'letter' })
  async write(names: string[]): Promise<string> {
    return (await Promise.all(names.map((name) => this.greeter.greet(name)))).join('\n');
  }
}

@Module({ imports: [DispatchModule.forRoot()], providers: [Greeter, Letter] })
class Worker {}

@Module({ imports: [DispatchModule.forRoot({ scheduler: { run: false } })], providers: [Greeter, Letter] })
class Front {}

async function start(module: Type): Promise<INestApplicationContext> {
  const app = await NestFactory.createApplicationContext(module, { logger: false });
  apps.push(app);
  return app;
}

describe('applications with DISPATCH_STORE set to a PostgreSQL database', () => {
  it('run each other’s calls', async () => {
    const front = await start(Front);
    const client = front.get(DispatchClient);
    const id = await client.of(front.get(Letter)).write(['Ada', 'Grace']).dispatch();
    expect(await client.get(id)).toMatchObject({ state: 'pending', function: 'letter' });
    await start(Worker);
    expect(await client.wait(id)).toBe('Hello, Ada\nHello, Grace');
    expect((await client.list({ rootId: id })).calls.map(({ state }) => state)).toEqual(Array(3).fill('succeeded'));
  });

  it('go on with what they had when they are started again', async () => {
    const first = await start(Front);
    const id = await first.get(DispatchClient).of(first.get(Letter)).write(['Ada']).dispatch();
    await first.close();
    const second = await start(Worker);
    expect(await second.get(DispatchClient).wait(id)).toBe('Hello, Ada');
  });

  it('are told what to install where the driver is not there', async () => {
    jest.resetModules();
    jest.unstable_mockModule('pg', () => {
      throw new Error("Cannot find package 'pg'");
    });
    const { PostgresStore } = await import('../../lib/scheduler/index.js');
    await expect(new PostgresStore('postgres://localhost/db').open()).rejects.toThrow('npm install pg');
    jest.unstable_unmockModule('pg');
  });
});
