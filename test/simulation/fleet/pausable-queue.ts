import type { EventQueue, Scheduled } from '../event-queue.js';
import type { Life } from '../life.js';

/** What is going to happen in a process: nothing of it while that is paused, and nothing once it is dead. */
export class PausableQueue implements Pick<EventQueue, 'now' | 'schedule'> {
  private pausedUntil = 0;

  constructor(
    private readonly queue: EventQueue,
    private readonly life: Life,
  ) {}

  get now(): number {
    return this.queue.now;
  }

  get isPaused(): boolean {
    return this.pausedUntil > this.queue.now;
  }

  pause(milliseconds: number): void {
    this.pausedUntil = this.queue.now + milliseconds;
  }

  schedule(delay: number, action: () => void): Scheduled {
    let scheduled: Scheduled;
    const happen = (): void => {
      if (!this.life.isAlive) return;
      if (this.isPaused) scheduled = this.queue.schedule(this.pausedUntil - this.queue.now, happen);
      else action();
    };
    scheduled = this.queue.schedule(delay, happen);
    return { cancel: () => scheduled.cancel() };
  }
}
