import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { DispatchClient } from 'nestjs-dispatch';
import { AppModule } from './app.module.js';
import { AuditProgress } from './audit-progress.service.js';
import { LicenseAudit, type AuditResult } from './license-audit.service.js';

const folder = resolve(process.argv[2] ?? 'node_modules');
if (!existsSync(folder)) {
  console.error(`There is no folder ${folder}. Usage: node main.js [path of a node_modules folder]`);
  process.exit(2);
}
const key = createHash('sha256').update(folder).digest('hex').slice(0, 8);
const data = resolve(process.env.AUDIT_DATA ?? '.dispatch/license-audit');
const store = join(data, `${basename(folder)}-${key}.db`);

const app = await NestFactory.createApplicationContext(AppModule.with(store), { logger: ['warn', 'error', 'fatal'] });
app.enableShutdownHooks();
const client = app.get(DispatchClient);
const progress = app.get(AuditProgress);
const audit = app.get(LicenseAudit);

const id =
  (await unfinished()) ??
  (await client
    .of(audit)
    .run(folder, join(data, `${basename(folder)}-${key}.txt`))
    .dispatch());
const result = await client.wait<AuditResult>(id);
progress.end();

console.log(`\n${result.report}`);
if (progress.audits < result.packages) {
  console.log(
    `${result.packages - progress.audits} of ${result.packages} packages came from before, ${progress.audits} were audited now.`,
  );
}
console.log(`Report: ${result.path}`);
console.log(`Data:   ${store}`);
await app.close();

/** An audit of this folder that an earlier process began and did not end. */
async function unfinished(): Promise<string | undefined> {
  const { calls } = await client.list({ function: 'LicenseAudit.run', state: ['pending', 'running', 'suspended'] });
  const [call] = calls;
  if (call === undefined) return undefined;
  const done = await client.list({ parentId: call.id, state: 'succeeded', limit: 1_000_000 });
  progress.before = Math.max(0, done.calls.length - progress.audits);
  console.log(`Going on with audit ${call.id}: ${progress.before} packages were audited before.`);
  return call.id;
}
