import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DispatchClient } from 'nestjs-dispatch';
import { TestTime } from 'nestjs-dispatch/testing';
import request from 'supertest';
import { AppModule } from './app.module.js';
import { Warehouse } from './orders.js';

describe('the quickstart', () => {
  let folder: string;
  let app: INestApplication;
  let lines: string[];
  let time: TestTime;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'quickstart-'));
    process.env.DISPATCH_STORE = join(folder, 'dispatch.db');
    lines = [];
    time = new TestTime();
    jest.spyOn(Logger.prototype, 'log').mockImplementation((line: unknown) => void lines.push(String(line)));
    const builder = Test.createTestingModule({ imports: [AppModule] });
    const module = await time.control(builder).compile();
    app = await module.createNestApplication({ logger: false }).init();
  });

  afterEach(async () => {
    await app.close();
    jest.restoreAllMocks();
    delete process.env.DISPATCH_STORE;
    await rm(folder, { recursive: true, force: true });
  });

  /** As `main.ts` does: with its store on disk, in real time. */
  async function start(): Promise<INestApplication> {
    const created = await NestFactory.create(AppModule, { logger: false });
    return created.init();
  }

  const order = (deliverIn: string) =>
    request(app.getHttpServer())
      .post('/orders')
      .send({ customer: 'Ada', items: ['tea', 'pot'], deliverIn })
      .expect(201);

  const idOf = (body: unknown): string => (body as { id: string }).id;

  it('answers with an id, charges at the second attempt, packs all items and tells the receipt', async () => {
    const id = idOf((await order('3d')).body);
    await time.drain();
    expect(lines.filter((line) => /pays|packing/.test(line))).toEqual([]); // the bank did not answer
    await time.advance('2d');
    const waiting = await request(app.getHttpServer()).get(`/orders/${id}`).expect(200);
    expect(waiting.body).toEqual({ state: 'suspended', waitsFor: 'time' });
    await time.advance('1d');
    await time.advance('1s'); // the courier's three days began after the second attempt
    const receipt = await request(app.getHttpServer()).get(`/orders/${id}/receipt`).expect(200);
    expect(receipt.body).toEqual({
      customer: 'Ada',
      payment: expect.stringMatching(/^payment-[0-9a-f]{32}$/),
      parcels: ['a parcel with tea', 'a parcel with pot'],
      code: expect.any(Number),
    });
    expect(lines).toContain('Ada pays 1000 cents, at attempt 2');
    const status = await request(app.getHttpServer()).get(`/orders/${id}`).expect(200);
    expect(status.body).toEqual({ state: 'succeeded' });
  });

  it('answers with 404 for an order that there is not', async () => {
    await request(app.getHttpServer()).get('/orders/none').expect(404);
    await request(app.getHttpServer()).get('/orders/none/receipt').expect(404);
  });

  it('goes on with an order after a restart, and neither charges nor packs again', async () => {
    await app.close();
    app = await start();
    const id = idOf((await order('300ms')).body);
    await packed(id);
    const { length } = lines;
    await app.close();

    app = await start();
    const receipt = await request(app.getHttpServer()).get(`/orders/${id}/receipt`).expect(200);
    expect(receipt.body).toMatchObject({ parcels: ['a parcel with tea', 'a parcel with pot'] });
    expect(lines.slice(length).filter((line) => /pays|packing/.test(line))).toEqual([]);
  });

  it('runs a method in place where no durable function calls it', async () => {
    await expect(app.get(Warehouse).pack('tea')).resolves.toBe('a parcel with tea');
    await expect(app.get(DispatchClient).list()).resolves.toEqual({ calls: [], next: undefined });
  });

  /** All that the order calls has succeeded: what is left is the wait for the courier, and the end. */
  async function packed(id: string): Promise<void> {
    const client = app.get(DispatchClient);
    for (;;) {
      const { calls } = await client.list({ parentId: id, state: 'succeeded' });
      if (calls.length === 3) return;
      await new Promise(setImmediate);
    }
  }
});
