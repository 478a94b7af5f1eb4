import type { ConnectionSlot } from './connection.slot.js';
import type { Statements } from './statements.js';

export interface LeaseParts {
  readonly statements: Statements;
  readonly connection: ConnectionSlot;
  readonly process: number;
  /** Milliseconds, both. */
  readonly lease: number;
  readonly heartbeat: number;
  /** It was over, and is renewed: nobody had noticed. */
  readonly onRegained: () => void;
  /** The row says that the process counts as dead. */
  readonly onLost: () => void;
}

/** Shows that the process lives, where no commit has done so lately. */
export class Lease {
  private readonly timer: NodeJS.Timeout;
  private renewedAt = performance.now();
  private isBeating = false;

  constructor(private readonly parts: LeaseParts) {
    this.timer = setInterval(() => void this.beat(), parts.heartbeat);
    this.timer.unref();
  }

  /** Others may have declared the process dead. */
  get isOver(): boolean {
    return performance.now() - this.renewedAt > this.parts.lease;
  }

  /** It was renewed at that `performance.now()`, or later. */
  renewed(at: number): void {
    const wasOver = this.isOver;
    this.renewedAt = Math.max(this.renewedAt, at);
    if (wasOver && !this.isOver) this.parts.onRegained();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** A server that cannot be reached is asked again at the next beat. */
  private async beat(): Promise<void> {
    if (this.isBeating) return;
    this.isBeating = true;
    const { statements, connection, process, lease, heartbeat } = this.parts;
    try {
      // Opened again where it was lost: notifications come over it.
      const control = await connection.get();
      // A timer fires a little early or late: half of the time is as good as all of it.
      if (performance.now() - this.renewedAt < heartbeat / 2) return;
      const startedAt = performance.now();
      const { count } = await control.run(statements.renew, [process, lease]);
      if (count === 0) this.parts.onLost();
      else this.renewed(startedAt);
    } catch {
      return;
    } finally {
      this.isBeating = false;
    }
  }
}
