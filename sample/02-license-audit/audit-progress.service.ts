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
  private total: number | undefined;
  private readonly bar = new cliProgress.SingleBar({
    format: 'Auditing [{bar}] {value}/{total} packages',
    // A process that is killed cannot put them back.
    hideCursor: false,
    linewrap: true,
  });
  /** For demonstrations and tests: how long each package takes, in milliseconds, and a file that notes each look. */
  private readonly pace = Number(process.env.AUDIT_PACE_MS ?? 0);
  private readonly trace = process.env.AUDIT_TRACE;

  /** How many packages there are. Called again whenever the function is replayed, and when an audit goes on. */
  begin(total: number): void {
    if (this.total !== undefined) return;
    this.total = total;
    this.bar.start(total, this.done);
  }

  async audited(path: string): Promise<void> {
    this.audits++;
    if (this.trace !== undefined) appendFileSync(this.trace, `${path}\n`);
    if (this.pace > 0) await delay(this.pace);
    if (this.total !== undefined) this.bar.update(this.done);
  }

  end(): void {
    if (this.total !== undefined) this.bar.update(this.total);
    this.stop();
  }

  /** Leaves the terminal as it was. */
  stop(): void {
    if (this.total !== undefined) this.bar.stop();
  }

  private get done(): number {
    return Math.min(this.before + this.audits, this.total ?? 0);
  }
}
