import type { RunRequest } from '../../../lib/gen/dispatch/sdk/v1/function_pb.js';
import type { DispatchId } from '../../../lib/scheduler/index.js';
import { Chance } from '../chance.js';
import { EventQueue } from '../event-queue.js';
import { faultsOf, type Faults } from '../faults.js';
import type { Holder } from '../inspector.js';
import { FUNCTIONS, Programs } from '../programs.js';
import {
  DEPLOY_INTERVAL,
  HOUR,
  MINUTE,
  PATIENCE,
  runtimeOptions,
  SimulatedWorld,
  workingOptions,
  type Plan,
  type WorldOptions,
} from '../simulated-world.js';
import { FleetProcess } from './fleet-process.js';
import { LEASE } from './member-store.js';
import { ServerClock } from './server-clock.js';
import { SharedMemory } from './shared-memory.js';

const RETENTION = 30_000;

/** Several processes on one store: they die, are paused for longer than their lease, and lose the store for a while. */
export class FleetWorld extends SimulatedWorld<ServerClock> {
  readonly shared: SharedMemory;
  /** Calls with a key that have begun in any process. */
  readonly holders = new Map<DispatchId, Holder>();

  private readonly processes = new Set<FleetProcess>();
  private readonly pauses: number;
  private readonly cuts: number;

  constructor(seed: number) {
    const plan = planOf(seed);
    super(seed, plan, new ServerClock(plan.queue));
    this.pauses = plan.pauses;
    this.cuts = plan.cuts;
    this.shared = new SharedMemory(this.ledger, this.queue, LEASE, this.chance.random);
  }

  get casualties(): SharedMemory['casualties'] {
    return this.shared.casualties;
  }

  /** One of those that run, whichever a client reaches. */
  get process(): FleetProcess | undefined {
    const [first, ...others] = [...this.processes].filter(({ queue }) => !queue.isPaused);
    return first && this.chance.pick([first, ...others]);
  }

  /** Lets it all happen, from the first dispatch until the store is empty again. Throws the first violation. */
  async run(): Promise<void> {
    const count = this.chance.whole(2, 3);
    for (let nth = 0; nth < count; nth++) this.start(this.lacksOf(nth));
    this.client.start();
    this.scheduleFaults();
    await this.until(() => this.queue.now >= this.faults.until, Infinity, 'chaos');
    this.makePeace();
    const isDone = (): boolean => this.ledger.unfinished === 0 && this.processes.size === count && this.isWhole;
    await this.until(isDone, this.bound(PATIENCE), 'a call is starved');
    await this.confirm();
    const isEmpty = (): boolean => this.ledger.calls.size === 0 && this.shared.marks.size === 0 && this.isWhole;
    await this.until(isEmpty, this.bound(RETENTION + HOUR), 'something is left in the store');
    for (const { inspector } of this.processes) {
      this.trace.check(inspector.running.length === 0, 'a call runs, and the store has none', ...inspector.running);
    }
    await this.stop();
    if (this.trace.violation) throw this.report();
  }

  /** A process was killed, or could not start: another follows. */
  processEnded(process: FleetProcess): void {
    this.processes.delete(process);
    const { identity } = process.store;
    if (identity?.hasEnded === false) this.shared.casualties.died(identity);
    this.queue.schedule(this.chance.between(0, 20_000), () => this.start(process.lacks, this.codeAfter(process)));
  }

  /** A run begins in a process that is alive for all others: it has the call, and the limit of the function has room. */
  checkBeginning(process: FleetProcess, endpoint: string, { dispatchId: id, function: name }: RunRequest): void {
    const { trace, shared, ledger, processes } = this;
    const isMine = shared.ownerOf(id) === process.store.identity?.id;
    trace.check(isMine || !ledger.calls.has(id), 'a process runs a call that another one has', id);
    const alive = [...processes].filter(({ store }) => store.identity?.hasEnded === false);
    const running = alive.reduce((sum, { inspector }) => sum + inspector.countOf(endpoint, name), 0);
    const most = FUNCTIONS.get(name)?.concurrency ?? Infinity;
    trace.check(running < most, `more runs of ${name} in all processes than it may have`, id);
  }

  /** No process is paused, or has yet to learn that it was declared dead. */
  private get isWhole(): boolean {
    return [...this.processes].every(({ queue, store }) => !queue.isPaused && store.identity?.hasEnded === false);
  }

  /** The first has all functions, so that nothing waits for ever. */
  private lacksOf(nth: number): ReadonlySet<string> {
    return new Set(nth === 0 ? [] : [...FUNCTIONS.keys()].filter(() => this.chance.happens(0.3)));
  }

  /** Versions are side by side while one is deployed, and where it is taken back. */
  private codeAfter({ changed }: FleetProcess): boolean {
    return this.isChaotic && this.faults.deploys > 0 ? this.chance.happens(0.5) : changed;
  }

  private start(lacks: ReadonlySet<string>, changed = false): void {
    const process = new FleetProcess(this, lacks, changed, this.nextCrash());
    this.trace.note('start', '', [...(changed ? ['changed code'] : []), ...lacks].join(' '));
    process.scheduler.start().then(
      () => {
        if (process.life.isAlive) this.processes.add(process);
      },
      (error: unknown) => process.kill(`no start: ${error instanceof Error ? error.message : String(error)}`),
    );
  }

  private scheduleFaults(): void {
    const { chance, faults } = this;
    const sometimes = (times: number, what: string, happen: (process: FleetProcess, time: number) => void): void => {
      for (let count = times; count > 0; count--) {
        this.queue.schedule(chance.between(0, faults.until), () => {
          const { process } = this;
          const time = chance.happens(0.5) ? chance.between(0, LEASE) : chance.between(LEASE, 4 * LEASE);
          if (process === undefined) return;
          this.trace.note(what, '', `${Math.round(time)} ms`);
          happen(process, time);
        });
      }
    };
    sometimes(this.pauses, 'paused', ({ queue }, time) => queue.pause(time));
    sometimes(this.cuts, 'cut off', ({ store }, time) => store.cut(time));
    sometimes(chance.whole(0, 1) + faults.deploys, 'stop', (process, time) => {
      this.replace(process, time / 10, this.codeAfter(process));
    });
    sometimes(faults.jumps, 'clock off', ({ wall }, time) => {
      this.wall.misset(wall, chance.whole(-5 * MINUTE, 5 * MINUTE), time);
    });
    for (let count = faults.remoteCrashes; count > 0; count--) {
      this.queue.schedule(chance.between(0, faults.until), () => this.remote.restart(false));
    }
  }

  /** Nothing goes wrong from here on. Where calls wait for other code, all processes get that, in turns. */
  private makePeace(): void {
    this.trace.note('peace');
    this.isChaotic = false;
    let changed = false;
    const look = (): void => {
      if (this.ledger.unfinished === 0) return;
      changed = !changed;
      if (this.isParked) for (const process of [...this.processes]) this.replace(process, 1_000, changed);
      this.queue.schedule(DEPLOY_INTERVAL, look);
    };
    this.queue.schedule(DEPLOY_INTERVAL, look);
  }

  /** Ends the process in order and starts another. */
  private replace(process: FleetProcess, grace: number, changed: boolean): void {
    this.processes.delete(process);
    process.stop(grace).then(
      () => this.start(process.lacks, changed),
      (error: unknown) => this.trace.violate(`the scheduler cannot be stopped: ${String(error)}`),
    );
  }

  private async stop(): Promise<void> {
    let left = this.processes.size;
    for (const process of this.processes) {
      process.stop(1_000).then(
        () => (left -= 1),
        (error: unknown) => this.trace.violate(`the scheduler cannot be stopped: ${String(error)}`),
      );
    }
    await this.until(() => left === 0, this.bound(HOUR), 'the schedulers do not stop');
    this.remote.restart(false);
  }

  protected override get marks(): number {
    return this.shared.marks.size;
  }
}

function planOf(seed: number): Plan & Deaths {
  const faults = faultsOf(new Chance(seed, 12));
  const programs = new Programs(new Chance(seed, 13), new Chance(seed, 16), 0);
  const { crashes, pauses, cuts } = deathsOf(new Chance(seed, 17), faults, programs);
  return {
    chance: new Chance(seed, 11),
    faults,
    strain: undefined,
    programs,
    options: optionsOf(new Chance(seed, 14)),
    queue: new EventQueue(new Chance(seed, 15).random),
    crashes,
    pauses,
    cuts,
    mayBlame: crashes.length + pauses + cuts > 0,
    command: '--fleet ',
  };
}

/** Of what processes die, or seem to, beside functions that end them. */
interface Deaths {
  /** The effects at which they are killed. */
  readonly crashes: number[];
  readonly pauses: number;
  readonly cuts: number;
}

/** Where a function ends its process, nothing else does in half of the seeds: then it has to be found out, and no other. */
function deathsOf(chance: Chance, { crashes }: Faults, { isDeadly }: Programs): Deaths {
  if (isDeadly && chance.happens(0.5)) return { crashes: [], pauses: 0, cuts: 0 };
  return { crashes: crashes.slice(0, 2), pauses: chance.whole(0, 2), cuts: chance.whole(0, 2) };
}

function optionsOf(chance: Chance): WorldOptions {
  return {
    scheduler: {
      concurrency: chance.pick([2, 3, 8, 100]),
      ...workingOptions(chance),
      retention: RETENTION,
      purgeInterval: RETENTION / 3,
    },
    ...runtimeOptions(chance),
  };
}
