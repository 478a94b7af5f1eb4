// CommonJS applications, which most Nest applications are, load the same ES modules.
require('reflect-metadata');
const assert = require('node:assert/strict');
const { DispatchClient, DispatchModule } = require('nestjs-dispatch');

assert.ok(require('nestjs-dispatch/proto').RunRequestSchema);
assert.ok(require('nestjs-dispatch/scheduler').Scheduler);
assert.ok(Object.keys(require('nestjs-dispatch/testing')).length > 0);

class AppModule {}
require('@nestjs/common').Module({ imports: [DispatchModule.forRoot()] })(AppModule);

async function main() {
  const app = await require('@nestjs/core').NestFactory.createApplicationContext(AppModule, {
    logger: ['warn', 'error'],
  });
  assert.deepEqual((await app.get(DispatchClient).list({ function: 'Sums.all' })).calls[0].state, 'succeeded');
  await app.close();
  console.log(`CommonJS on Node ${process.versions.node}: fine`);
}
void main();
