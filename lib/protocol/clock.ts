/** Time, as the scheduler and the runtime see it: the machine's own, or one that a test or a simulation moves. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once at or after `time`. The timer keeps the process alive unless `unref`. Delays of any length are right. */
  at(time: number, callback: () => void): Alarm;
  /** Calls back when the current turn of the event loop is over (`setImmediate`). */
  defer(callback: () => void): void;
}

export interface Alarm {
  cancel(): void;
}
