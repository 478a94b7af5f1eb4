import type { SchedulerLog, Scheduler } from '../../lib/scheduler/index.js';
import type { SimulatedApplication } from './application.js';
import type { EventQueue } from './event-queue.js';
import { Life } from './life.js';
import type { Trace } from './trace.js';

/** What a process knows of the world that it is in. */
export interface ProcessWorld<P> {
  readonly trace: Trace;
  readonly queue: EventQueue;
  readonly isChaotic: boolean;
  processEnded(process: P): void;
}

/** A process that has a scheduler and functions. It may be killed between any two effects. */
export abstract class SimulatedProcess<W extends ProcessWorld<never>> {
  readonly life = new Life();
  abstract readonly scheduler: Scheduler;
  abstract readonly application: SimulatedApplication;
  private effects = 0;

  constructor(
    protected readonly world: W,
    /** At which effect it is killed; 0: at none. */
    private readonly crashAt: number,
  ) {}

  /** Ends at once, with all that is in memory. */
  kill(why: string): void {
    if (!this.life.isAlive) return;
    this.world.trace.note('crash', '', why);
    this.life.end();
    this.world.processEnded(this as never);
    // Whoever listens for the end of a run is somewhere in the code that runs now.
    this.world.queue.schedule(0, () => this.application.runtime.close());
  }

  /** Ends in order, as for a deploy. */
  async stop(grace: number): Promise<void> {
    await this.scheduler.stop({ grace });
    this.life.end();
    this.application.runtime.close();
  }

  protected readonly effect = (what: string): void => {
    if (!this.life.isAlive) return;
    this.effects += 1;
    if (this.effects === this.crashAt && this.world.isChaotic) this.kill(what);
  };

  protected log(): SchedulerLog {
    const note = (message: string): void => {
      if (!this.life.isAlive) return;
      this.world.trace.note('log', '', message.slice(0, 600));
      this.world.trace.check(!/This is a bug/.test(message), message);
    };
    return { log: note, warn: note, error: note };
  }
}
