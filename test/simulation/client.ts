import { NotFoundError } from '../../lib/errors/index.js';
import type { CallOutcome, DispatchId } from '../../lib/scheduler/index.js';
import { pack } from '../../lib/values/index.js';
import type { Clients, Ledger } from './ledger.js';
import type { Root } from './programs.js';
import type { SchedulerProcess } from './scheduler-process.js';
import type { SimulatedWorld } from './simulated-world.js';

/** What clients have to do with. */
export interface ClientWorld extends Pick<
  SimulatedWorld,
  'programs' | 'queue' | 'chance' | 'faults' | 'trace' | 'wall' | 'strain'
> {
  readonly ledger: Ledger;
  /** The one that they reach now, if they reach any. */
  readonly process: Pick<SchedulerProcess, 'scheduler' | 'life'> | undefined;
}

interface Dispatched {
  readonly root: Root;
  /** Times that it was sent. */
  sent: number;
  readonly ids: Set<DispatchId>;
}

/** Who dispatches calls, waits for them, cancels them and tries them again. */
export class Client implements Clients {
  /** Calls that the scheduler has said it has. */
  readonly acknowledged = new Set<DispatchId>();
  /** Of the acknowledged ones, those whose end somebody waits for in this process. */
  private readonly dispatched: Dispatched[];
  private readonly cancelled = new Set<DispatchId>();
  private readonly retried = new Set<DispatchId>();

  constructor(private readonly world: ClientWorld) {
    this.dispatched = world.programs.roots.map((root) => ({ root, sent: 0, ids: new Set() }));
  }

  mayCreate(id: DispatchId, input: unknown): boolean {
    return this.dispatched.some(
      ({ root, sent }) => sent > 0 && root.program === input && (root.id === undefined || root.id === id),
    );
  }

  hasCancelled(id: DispatchId): boolean {
    return this.cancelled.has(id);
  }

  hasRetried(id: DispatchId): boolean {
    return this.retried.has(id);
  }

  /** The number of a root by its id. */
  indexOf(id: DispatchId): number {
    return this.dispatched.findIndex(({ ids, root }) => root.id === id || ids.has(id));
  }

  /** Begins to do what clients do, at random times while the chaos lasts. */
  start(): void {
    const { queue, chance, faults, programs } = this.world;
    const latest = programs.isCrowded || this.world.strain !== undefined ? 300 : faults.until * 0.6;
    for (const [index, { root }] of this.dispatched.entries()) {
      const times = root.id === undefined ? 1 : chance.whole(1, 2);
      for (let time = 0; time < times; time++) {
        queue.schedule(chance.between(0, latest) * chance.random(), () => this.dispatch(index));
      }
    }
    for (let count = chance.whole(0, 3); count > 0; count--) {
      queue.schedule(chance.between(0, faults.until), () => this.interfere());
    }
  }

  /** Waits for each acknowledged call, which has finished by now; resolves when all answers are there. */
  async confirmAll(): Promise<void> {
    await Promise.all([...this.acknowledged].map((id) => this.confirm(id)));
  }

  private dispatch(index: number): void {
    const { process, queue, programs, trace, ledger } = this.world;
    const dispatched = this.dispatched[index];
    const program = programs.get(dispatched?.root.program ?? -1);
    if (dispatched === undefined || program === undefined) return;
    if (process === undefined) return void queue.schedule(500, () => this.dispatch(index));
    const { root } = dispatched;
    const { id, expiration, delay, priority, key } = root;
    const wasThere = id !== undefined && (ledger.calls.has(id) || dispatched.sent > 0);
    dispatched.sent += 1;
    trace.note('dispatch', id, root.program);
    const call = {
      endpoint: program.home,
      function: program.function,
      input: pack(root.program, 'input'),
      id,
      expiration,
      priority,
      key,
      dueAt: delay === undefined ? undefined : this.world.wall.now() + delay,
    };
    process.scheduler.dispatch([call]).then(
      ([given = '']) => {
        if (!process.life.isAlive) return;
        dispatched.ids.add(given);
        this.acknowledge(given);
      },
      () => {
        if (!process.life.isAlive || id === undefined || wasThere || dispatched.sent > 1) return;
        trace.check(!ledger.calls.has(id), 'a dispatch was refused, and the call is there', id);
      },
    );
  }

  private acknowledge(id: DispatchId): void {
    const { trace, chance } = this.world;
    trace.note('acknowledged', id);
    this.acknowledged.add(id);
    trace.check(this.isRecorded(id), 'a call was acknowledged that is not recorded', id);
    if (chance.happens(0.5)) this.wait(id, chance.happens(0.2) ? chance.whole(0, 30_000) : undefined);
  }

  private wait(id: DispatchId, timeout: number | undefined): void {
    const { process } = this.world;
    process?.scheduler.wait(id, { timeout }).then(
      (outcome) => process.life.isAlive && this.heard(outcome),
      (error: unknown) => process.life.isAlive && this.heardNothing(id, error),
    );
  }

  private heard({ id, state }: CallOutcome): void {
    const { ledger, trace } = this.world;
    const call = ledger.calls.get(id);
    const isRecorded = call?.finished?.state === state || ledger.purged.has(id) || this.retried.has(id);
    trace.check(isRecorded, `somebody heard that a call has ${state}, and that is not recorded`, id);
  }

  private heardNothing(id: DispatchId, error: unknown): void {
    if (!(error instanceof NotFoundError)) return;
    this.world.trace.check(this.world.ledger.purged.has(id), 'an acknowledged call is unknown', id);
  }

  private interfere(): void {
    const { chance, process, ledger, trace } = this.world;
    const ids = [...this.acknowledged];
    const id = ids[chance.whole(0, ids.length - 1)];
    if (id === undefined || process === undefined) return;
    if (chance.happens(0.5)) {
      trace.note('cancel', id);
      this.cancelled.add(id);
      process.scheduler.cancel(id).then(
        (isCancelled) => {
          if (!process.life.isAlive || !isCancelled) return;
          const call = ledger.calls.get(id);
          const isMarked = call?.progress.cancelBy !== undefined || call?.finished !== undefined || call === undefined;
          const isRecorded = isMarked || ledger.isToBeCancelled(id);
          trace.check(isRecorded, 'a call was said to be cancelled, and that is not recorded', id);
        },
        () => undefined,
      );
    } else {
      trace.note('retry', id);
      this.retried.add(id);
      process.scheduler.retry(id).catch(() => undefined);
    }
  }

  private async confirm(id: DispatchId): Promise<void> {
    const { process, ledger, trace } = this.world;
    try {
      const outcome = await process?.scheduler.wait(id);
      const info = await process?.scheduler.get(id);
      if (outcome) this.heard(outcome);
      const state = ledger.calls.get(id)?.finished?.state;
      // It was removed, or somebody has it begin again.
      if (state === undefined) return;
      trace.check(info?.state === state, `a call is said to be ${info?.state}, and is ${state}`, id);
    } catch (error) {
      this.heardNothing(id, error);
    }
  }

  private isRecorded(id: DispatchId): boolean {
    const { calls, purged } = this.world.ledger;
    return calls.has(id) || purged.has(id);
  }
}
