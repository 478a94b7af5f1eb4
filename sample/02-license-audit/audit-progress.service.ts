import { Injectable } from '@nestjs/common';
import cliProgress from 'cli-progress';
import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** What this process has done of the audit, for the person who watches. Nothing durable depends on it. */
@Injectable()
export class AuditProgress {
  /** Packages that this process looked at. */
  audits = 0;
  /** Packages whose results came from before this process. */
  before = 0;
  private total = 0;
  private readonly bar = new cliProgress.SingleBar({
    format: 'Auditing [{bar}] {value}/{total} packages',
    hideCursor: true,
    clearOnComplete: false,
  });
  /** For demonstrations and tests: how long each package takes, in milliseconds, and a file that notes each look. */
  private readonly pace = Number(process.env.AUDIT_PACE_MS ?? 0);
  private readonly trace = process.env.AUDIT_TRACE;

  /** Called at the start, and again whenever the function is replayed. */
  begin(total: number): void {
    if (this.total === 0) this.bar.start(total, Math.min(this.before + this.audits, total));
    this.total = total;
  }

  async audited(path: string): Promise<void> {
    this.audits++;
    if (this.trace !== undefined) appendFileSync(this.trace, `${path}\n`);
    if (this.pace > 0) await delay(this.pace);
    if (this.total > 0) this.bar.update(Math.min(this.before + this.audits, this.total));
  }

  end(): void {
    if (this.total > 0) this.bar.update(this.total);
    this.bar.stop();
  }
}
