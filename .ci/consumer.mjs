// An application that has installed the package: every entry is there, and a durable function runs.
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DispatchClient, DispatchFunction, DispatchModule, gather } from 'nestjs-dispatch';
import * as proto from 'nestjs-dispatch/proto';
import * as scheduler from 'nestjs-dispatch/scheduler';
import * as testing from 'nestjs-dispatch/testing';

class Sums {
  async next(n) {
    return n + 1;
  }

  async all(numbers) {
    return gather(numbers.map((n) => this.next(n)));
  }
}
// What the compiler makes of decorators.
Injectable()(Sums);
for (const name of ['next', 'all']) {
  const method = Object.getOwnPropertyDescriptor(Sums.prototype, name);
  DispatchFunction()(Sums.prototype, name, method);
  Object.defineProperty(Sums.prototype, name, method);
}

class AppModule {}
Module({ imports: [DispatchModule.forRoot()], providers: [Sums] })(AppModule);

assert.ok(proto.RunRequestSchema);
assert.ok(scheduler.Scheduler);
assert.ok(Object.keys(testing).length > 0);

const app = await NestFactory.create(AppModule, { logger: ['warn', 'error'] });
await app.listen(0, '127.0.0.1');
const sums = app.get(Sums);
assert.deepEqual(await app.get(DispatchClient).of(sums).all([1, 2, 3]).result(), [2, 3, 4]);
await app.close();
console.log(`ES modules on Node ${process.versions.node}: fine`);
