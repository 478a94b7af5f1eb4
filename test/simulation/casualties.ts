import type { DispatchId } from '../../lib/scheduler/index.js';
import type { EventQueue } from './event-queue.js';

/** From the end of a run until the store is surely told of it, where nothing has to be read before; milliseconds. */
const SURELY = 1;
/** How long it may take to read what an answer has to be compared with, on the slowest of disks; milliseconds. */
const READING_TAKES = 15_000;

/** The runs of a process, as one sees from outside which of them may be what it dies of. */
export class RunningCalls {
  /** About to be sent, or sent and not answered. */
  private readonly running = new Map<DispatchId, object>();
  private readonly endedAt = new Map<DispatchId, number>();
  /** Calls whose runs have ended, and that could not be noted. */
  private stuck: readonly DispatchId[] = [];
  private reads = 0;

  constructor(private readonly queue: EventQueue) {}

  /** The process has begun to look something up in the store; call what is returned when it has it. */
  reading(): () => void {
    this.reads += 1;
    return () => (this.reads -= 1);
  }

  begun(ids: readonly DispatchId[]): void {
    for (const id of ids) {
      this.endedAt.delete(id);
      this.running.set(id, {});
    }
  }

  /** A run is sent; call what is returned when it was answered. */
  sent(id: DispatchId): () => void {
    const run = this.running.get(id);
    return () => {
      if (this.running.get(id) === run) this.ended([id]);
    };
  }

  /** The store is told that the runs have ended: some were given up. */
  ended(ids: readonly DispatchId[]): void {
    for (const id of ids) if (this.running.delete(id)) this.endedAt.set(id, this.queue.now);
  }

  /** The store was told which runs have ended, or could not be: then it is told with the next ones. */
  noted(ended: readonly DispatchId[], isNoted: boolean): void {
    this.stuck = isNoted ? [] : ended;
  }

  /** Calls that may be what the process dies of now. */
  *suspects(): Iterable<DispatchId> {
    yield* this.running.keys();
    yield* this.stuck;
    const slack = this.reads > 0 ? READING_TAKES : SURELY;
    for (const [id, at] of this.endedAt) if (this.queue.now - at <= slack) yield id;
  }
}

/** Calls that ran when a process died, until the next one has counted the crash for them. */
export class Casualties {
  private readonly uncounted = new Set<DispatchId>();

  died(running: RunningCalls): void {
    for (const id of running.suspects()) this.uncounted.add(id);
  }

  /** Whether a crash may be counted for the call: once for each death. */
  count(id: DispatchId): boolean {
    return this.uncounted.delete(id);
  }

  /** A process has started: what it has not counted by now is not counted any more. */
  started(): void {
    this.uncounted.clear();
  }
}
