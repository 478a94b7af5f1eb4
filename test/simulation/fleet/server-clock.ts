import { WallClock } from '../simulated-clock.js';

/** The clock of the store's server, which is right. Those of processes may be off for a while. */
export class ServerClock extends WallClock {
  private off = 0;

  /** How long ago the last clock was put right: what processes say of times can be relied on since. */
  override get steadyFor(): number {
    return this.off > 0 ? 0 : super.steadyFor;
  }

  /** Sets the clock of a process, which is put right again after so long. */
  misset(clock: WallClock, by: number, time: number): void {
    this.off += 1;
    clock.jump(by);
    this.queue.schedule(time, () => {
      clock.jump(-by);
      this.off -= 1;
      this.jump(0);
    });
  }
}
