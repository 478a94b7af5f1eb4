import type { Execution } from './execution.js';

/** Per suspended instance, beyond its journal: promises, closures, the method's own variables. An estimate, in bytes. */
const INSTANCE_OVERHEAD = 4_096;
/** Functions that sleep for long are kept up to this number: they have time enough for a replay. */
const MOST_ASLEEP = 1_000;

/**
 * The instances of this process that may be gone on with, least recently used first. Only suspended ones are given up
 * when there are too many: they replay.
 */
export class LiveInstances {
  private readonly instances = new Map<string, Execution>();
  private bytes = 0;
  private readonly weights = new Map<string, number>();
  /** When the suspended ones were suspended, in milliseconds since 1970: the oldest first. */
  private readonly since = new Map<Execution, number>();
  private readonly asleep = new Set<Execution>();

  constructor(
    private readonly maxCount: number,
    private readonly maxBytes: number,
  ) {}

  get(id: string): Execution | undefined {
    return this.instances.get(id);
  }

  set(execution: Execution): void {
    this.forget(execution.id);
    this.instances.set(execution.id, execution);
    this.weigh(execution);
  }

  /** Notes that an instance was suspended: it may now be given up, the one that was used longest ago first. */
  suspended(execution: Execution, now: number): void {
    if (this.instances.get(execution.id) !== execution) return;
    this.instances.delete(execution.id);
    this.instances.set(execution.id, execution);
    this.since.delete(execution);
    this.since.set(execution, now);
    this.weigh(execution);
    this.asleep.delete(execution);
    if (execution.sleepsLong(now)) this.keepAsleep(execution);
    for (const candidate of this.instances.values()) {
      if (this.instances.size <= this.maxCount && this.bytes <= this.maxBytes) return;
      this.giveUp(candidate);
    }
  }

  private keepAsleep(execution: Execution): void {
    this.asleep.add(execution);
    const [longest] = this.asleep;
    if (this.asleep.size <= MOST_ASLEEP || longest === undefined) return;
    this.asleep.delete(longest);
    this.giveUp(longest);
  }

  /** Gives up those that have been suspended since before that time. */
  releaseIdle(before: number): void {
    for (const [execution, time] of this.since) {
      if (time >= before) return;
      this.since.delete(execution);
      this.giveUp(execution);
    }
  }

  /** Does without a suspended instance. */
  private giveUp(execution: Execution): void {
    if (execution.phase !== 'suspended') return;
    this.delete(execution);
    execution.abandon();
  }

  delete(execution: Execution): void {
    if (this.instances.get(execution.id) === execution) this.forget(execution.id);
  }

  clear(): void {
    for (const execution of this.instances.values()) execution.abandon();
    this.instances.clear();
    this.weights.clear();
    this.since.clear();
    this.asleep.clear();
    this.bytes = 0;
  }

  get size(): number {
    return this.instances.size;
  }

  private weigh(execution: Execution): void {
    const weight = execution.journalBytes + INSTANCE_OVERHEAD;
    this.bytes += weight - (this.weights.get(execution.id) ?? 0);
    this.weights.set(execution.id, weight);
  }

  private forget(id: string): void {
    const instance = this.instances.get(id);
    if (instance !== undefined) {
      this.since.delete(instance);
      this.asleep.delete(instance);
    }
    this.bytes -= this.weights.get(id) ?? 0;
    this.weights.delete(id);
    this.instances.delete(id);
  }
}
