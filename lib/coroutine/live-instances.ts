import type { Execution } from './execution.js';

/** Per suspended instance, beyond its journal: promises, closures, the method's own variables. An estimate, in bytes. */
const INSTANCE_OVERHEAD = 4_096;
/** Functions that sleep for long are kept up to this number: they have time enough for a replay. */
const MOST_ASLEEP = 100;

/** What is known of an instance that was suspended. */
interface Suspension {
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Bytes that it counts for. */
  readonly weight: number;
}

/**
 * The instances of this process that may be gone on with. Only suspended ones are given up when there are too many, the
 * one that was suspended longest ago first: they replay.
 */
export class LiveInstances {
  private readonly instances = new Map<string, Execution>();
  /** Those that were suspended, in that order; some of them run again. */
  private readonly suspensions = new Map<Execution, Suspension>();
  private readonly asleep = new Set<Execution>();
  private bytes = 0;

  constructor(
    private readonly maxCount: number,
    private readonly maxBytes: number,
  ) {}

  get(id: string): Execution | undefined {
    return this.instances.get(id);
  }

  set(execution: Execution): void {
    const former = this.instances.get(execution.id);
    if (former !== undefined) this.delete(former);
    this.instances.set(execution.id, execution);
  }

  /** Notes that an instance was suspended: it may now be given up. */
  suspended(execution: Execution, now: number): void {
    if (this.instances.get(execution.id) !== execution) return;
    this.forgetSuspension(execution);
    const weight = execution.journalBytes + INSTANCE_OVERHEAD;
    this.suspensions.set(execution, { since: now, weight });
    this.bytes += weight;
    if (execution.sleepsLong(now)) this.keepAsleep(execution);
    if (this.hasRoom) return;
    for (const candidate of this.suspensions.keys()) {
      this.giveUp(candidate);
      if (this.hasRoom) return;
    }
  }

  private get hasRoom(): boolean {
    return this.instances.size <= this.maxCount && this.bytes <= this.maxBytes;
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
    for (const [execution, { since }] of this.suspensions) {
      if (since >= before) return;
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
    if (this.instances.get(execution.id) !== execution) return;
    this.instances.delete(execution.id);
    this.forgetSuspension(execution);
  }

  clear(): void {
    for (const execution of this.instances.values()) execution.abandon();
    this.instances.clear();
    this.suspensions.clear();
    this.asleep.clear();
    this.bytes = 0;
  }

  get size(): number {
    return this.instances.size;
  }

  private forgetSuspension(execution: Execution): void {
    const suspension = this.suspensions.get(execution);
    if (suspension === undefined) return;
    this.suspensions.delete(execution);
    this.asleep.delete(execution);
    this.bytes -= suspension.weight;
  }
}
