import type { Alarm, Clock } from './clock.js';

/**
 * Timers run down whatever the clock is set to, so that they are looked at again now and then: one whose time has come
 * because the clock was set forward rings so many milliseconds late at most.
 */
const LONGEST_DELAY = 10_000;

/** The machine's own time. */
export class SystemClock implements Clock {
  /** @param options.unref timers do not keep the process alive. Default false. */
  constructor(private readonly options: { readonly unref?: boolean } = {}) {}

  now(): number {
    return Date.now();
  }

  at(time: number, callback: () => void): Alarm {
    let timeout: NodeJS.Timeout;
    const arm = (): void => {
      const delay = Math.min(Math.max(0, time - Date.now()), LONGEST_DELAY);
      timeout = setTimeout(ring, delay);
      if (this.options.unref) timeout.unref();
    };
    // Looked at again when it rings: the delay may have been cut short, and timers may ring a little early.
    const ring = (): void => {
      if (Date.now() < time) arm();
      else callback();
    };
    arm();
    return { cancel: () => clearTimeout(timeout) };
  }

  defer(callback: () => void): void {
    setImmediate(callback);
  }
}
