import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { DispatchClient, type CallInfo, type ListFilter } from 'nestjs-dispatch';
import { AppModule } from './app.module.js';
import { AuditProgress } from './audit-progress.service.js';
import { LicenseAudit, type AuditResult } from './license-audit.service.js';

const startedAt = Date.now();

/**
 * Audits a folder, or goes on with an audit of it that an earlier process did not end; prints the report.
 *
 * @param data where the store and the report are kept
 */
export async function runAudit(folder: string, data: string): Promise<void> {
  const key = createHash('sha256').update(folder).digest('hex').slice(0, 8);
  const file = join(data, `${basename(folder)}-${key}`);
  try {
    const app = await NestFactory.createApplicationContext(AppModule.with(`${file}.db`), {
      logger: ['warn', 'error', 'fatal'],
      abortOnError: false,
    });
    await follow(app, folder, file);
  } catch (error) {
    console.error(`The audit has failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}

async function follow(app: INestApplicationContext, folder: string, file: string): Promise<void> {
  const interrupted = onSignal(app);
  const client = app.get(DispatchClient);
  const progress = app.get(AuditProgress);
  const audit = app.get(LicenseAudit);
  try {
    const id = (await unfinished(client, progress)) ?? (await client.of(audit).run(folder, `${file}.txt`).dispatch());
    const result = await client.wait<AuditResult>(id, { signal: interrupted });
    progress.end();
    print(result, progress.audits, `${file}.db`);
  } catch (error) {
    progress.stop();
    if (!interrupted.aborted) throw error;
    console.error('Interrupted. Start it again to go on from here.');
  } finally {
    // After a signal Nest closes the application by itself, and ends the process as the signal would have.
    if (!interrupted.aborted) await app.close();
  }
}

/** Ctrl-C ends the process in order: what is being looked at is finished first. */
function onSignal(app: INestApplicationContext): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort());
  app.enableShutdownHooks(['SIGINT', 'SIGTERM']);
  return controller.signal;
}

/** The audit of this folder that an earlier process began and did not end. */
async function unfinished(client: DispatchClient, progress: AuditProgress): Promise<string | undefined> {
  const [call] = await listAll(client, {
    function: 'LicenseAudit.run',
    state: ['pending', 'suspended', 'incompatible'],
  });
  if (call === undefined) return undefined;
  const audits = await listAll(client, { parentId: call.id });
  // This process is at work already, so what it has finished since its start does not count.
  progress.before = audits.filter(
    ({ state, finishedAt = Infinity }) => state === 'succeeded' && finishedAt < startedAt,
  ).length;
  console.log(`Going on with audit ${call.id}: ${progress.before} packages were audited before.`);
  if (audits.length > 0) progress.begin(audits.length);
  return call.id;
}

async function listAll(client: DispatchClient, filter: ListFilter): Promise<CallInfo[]> {
  const found: CallInfo[] = [];
  let after: string | undefined;
  do {
    const page = await client.list({ ...filter, limit: 1_000, after });
    found.push(...page.calls);
    after = page.next;
  } while (after !== undefined);
  return found;
}

function print(result: AuditResult, audits: number, store: string): void {
  console.log(`\n${result.report}`);
  if (audits < result.packages) {
    const before = result.packages - audits;
    console.log(`${before} of ${result.packages} packages came from before, ${audits} were audited now.`);
  }
  console.log(`Report: ${result.path}`);
  console.log(`Data:   ${store}`);
}
