import { Injectable } from '@nestjs/common';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DispatchFunction, gather, step } from 'nestjs-dispatch';
import { AuditProgress } from './audit-progress.service.js';
import { classify, type License } from './license.js';
import { findPackages, readPackage } from './packages.js';
import { renderReport } from './report.js';

export interface Audit extends License {
  readonly name: string;
  readonly version: string;
}

export interface AuditResult {
  readonly packages: number;
  readonly report: string;
  readonly path: string;
}

/** Looks at one package. */
@Injectable()
export class PackageAuditor {
  constructor(private readonly progress: AuditProgress) {}

  @DispatchFunction({ concurrency: 16 })
  async audit(folder: string, path: string): Promise<Audit> {
    const { name, version, license, text, isUnreadable } = await readPackage(folder, path);
    const found = classify(license, text);
    const audit: Audit = { name, version, ...found, category: isUnreadable ? 'unreadable' : found.category };
    await this.progress.audited(path);
    return audit;
  }
}

/** Looks at all packages of a `node_modules` folder and writes the report. */
@Injectable()
export class LicenseAudit {
  constructor(
    private readonly auditor: PackageAuditor,
    private readonly progress: AuditProgress,
  ) {}

  @DispatchFunction()
  async run(folder: string, reportPath: string): Promise<AuditResult> {
    const packages = await step(() => findPackages(folder));
    this.progress.begin(packages.length);
    const audits = await gather(packages.map((path) => this.auditor.audit(folder, path)));
    const report = renderReport(folder, audits);
    await step(async () => {
      await mkdir(dirname(reportPath), { recursive: true });
      await writeFile(reportPath, report);
    });
    return { packages: packages.length, report, path: reportPath };
  }
}
