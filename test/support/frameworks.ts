import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { INestApplication, NestApplicationOptions } from '@nestjs/common';
import { ExpressAdapter, type NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { NestFactory } from '@nestjs/core';

export const FRAMEWORKS = ['express', 'fastify'] as const;
export type Framework = (typeof FRAMEWORKS)[number];

export interface Setup {
  readonly options?: NestApplicationOptions;
  /** Does what both frameworks take in the same way. */
  readonly configure?: (app: INestApplication) => void;
  readonly express?: (app: NestExpressApplication) => void;
  readonly fastify?: (app: NestFastifyApplication) => Promise<void>;
}

/** An application that listens on a port of the machine, as `main.ts` starts it. */
export async function listen(framework: Framework, module: object, setup: Setup = {}): Promise<INestApplication> {
  const options = { logger: false as const, ...setup.options };
  const app =
    framework === 'express' ? await onExpress(module, options, setup) : await onFastify(module, options, setup);
  await app.listen(0, '127.0.0.1');
  return app;
}

async function onExpress(module: object, options: NestApplicationOptions, setup: Setup): Promise<INestApplication> {
  const app = await NestFactory.create<NestExpressApplication>(module, new ExpressAdapter(), options);
  setup.configure?.(app);
  setup.express?.(app);
  return app;
}

async function onFastify(module: object, options: NestApplicationOptions, setup: Setup): Promise<INestApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(module, new FastifyAdapter(), options);
  setup.configure?.(app);
  await setup.fastify?.(app);
  return app;
}

export function portOf(app: INestApplication): number {
  return ((app.getHttpServer() as Server).address() as AddressInfo).port;
}
