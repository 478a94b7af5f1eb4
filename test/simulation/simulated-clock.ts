import type { Alarm, Clock } from '../../lib/protocol/index.js';
import type { EventQueue, Scheduled } from './event-queue.js';
import type { Life } from './life.js';

const EPOCH = Date.UTC(2030, 0, 1);

/** The clock on the wall, which someone may set: all processes of the machine read it. */
export class WallClock {
  /** By how much it has been set, in milliseconds. */
  private skew = 0;
  private setAt = -Infinity;

  constructor(readonly queue: Pick<EventQueue, 'now' | 'schedule'>) {}

  now(): number {
    return Math.floor(EPOCH + this.queue.now + this.skew);
  }

  /** How long ago it was set. */
  get steadyFor(): number {
    return this.queue.now - this.setAt;
  }

  jump(milliseconds: number): void {
    this.setAt = this.queue.now;
    this.skew += milliseconds;
  }
}

/** What a process sees of time: nothing, once it is dead. Timers run down as those of Node do, whatever the clock is set to. */
export class SimulatedClock implements Clock {
  constructor(
    private readonly wall: WallClock,
    private readonly life: Life,
    private readonly random: () => number,
  ) {}

  now(): number {
    return this.wall.now();
  }

  at(time: number, callback: () => void): Alarm {
    let scheduled: Scheduled;
    const arm = (): void => {
      scheduled = this.wall.queue.schedule(Math.max(0, time - this.wall.now()), ring);
    };
    const ring = (): void => {
      if (!this.life.isAlive) return;
      if (this.wall.now() < time) arm();
      else callback();
    };
    arm();
    return { cancel: () => scheduled.cancel() };
  }

  defer(callback: () => void): void {
    this.wall.queue.schedule(this.random() * 0.05, () => {
      if (this.life.isAlive) callback();
    });
  }
}
