import type { DispatchId, SchedulerOptions } from '../../lib/scheduler/index.js';
import { policies } from './application.js';
import { Casualties } from './casualties.js';
import { Chance } from './chance.js';
import { EventQueue } from './event-queue.js';
import { faultsOf, gentle } from './faults.js';
import { Programs, REMOTE, SCRIPTED, STRAINED } from './programs.js';
import { SchedulerProcess } from './scheduler-process.js';
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
} from './simulated-world.js';
import { strainOf, StrainedEndpoint } from './strained-endpoint.js';
import { WallClock } from './simulated-clock.js';
import { Disk, type Surroundings } from './simulated-store.js';

/** Retries without any pause that cannot be by chance. */
const RETRIES_TO_JUDGE = 6;
/** Shorter than calls that were cancelled may clean up; milliseconds. */
const SHORT_RETENTION = 5_000;

/** Everything that a seed decides: programs, faults, settings, and the order in which things happen. */
export class World extends SimulatedWorld implements Surroundings {
  readonly disk: Disk;
  readonly casualties = new Casualties();
  /** Calls of the strained endpoint that have begun to run. */
  readonly touched = new Set<DispatchId>();
  /** The process that runs; undefined while none has started. */
  process: SchedulerProcess | undefined;

  /** Whether the local application has the changed code. */
  private changed = false;
  private finalStop: 'no' | 'begun' | 'done' = 'no';

  constructor(seed: number) {
    const plan = planOf(seed);
    super(seed, plan, new WallClock(plan.queue));
    this.disk = new Disk(this.ledger);
    if (this.strain) this.endpoints.set(STRAINED, new StrainedEndpoint(this.strain, this.queue));
  }

  /** Lets it all happen, from the first dispatch until the store is empty again. Throws the first violation. */
  async run(): Promise<void> {
    this.startProcess();
    this.client.start();
    this.scheduleFaults();
    await this.until(() => this.queue.now >= this.faults.until, Infinity, 'chaos');
    this.makePeace();
    await this.until(
      () => this.ledger.unfinished === 0 && this.process !== undefined,
      this.bound(PATIENCE),
      'a call is starved',
    );
    await this.confirm();
    const { retention, purgeInterval } = this.options.scheduler;
    const purged = this.bound(retention + 3 * purgeInterval + HOUR);
    await this.until(() => this.ledger.calls.size === 0 && this.isResting(), purged, 'something is left in the store');
    this.checkRest();
    await this.stop();
    if (this.trace.violation) throw this.report();
  }

  /** A process was killed, or could not start: another follows. */
  processEnded(process: SchedulerProcess): void {
    if (this.process === process) this.process = undefined;
    this.casualties.died(process.running);
    this.disk.store.crash();
    this.queue.schedule(this.chance.between(0, 3_000), () => this.startProcess());
  }

  private startProcess(): void {
    const process = new SchedulerProcess(this, this.changed, this.nextCrash());
    this.trace.note('start', '', this.changed ? 'changed code' : '');
    process.scheduler.start().then(
      () => {
        if (!process.life.isAlive) return;
        this.process = process;
        this.casualties.started();
      },
      (error: unknown) => {
        if (!process.life.isAlive) return;
        process.kill(`no start: ${error instanceof Error ? error.message : String(error)}`);
      },
    );
  }

  /** Ends the process in order and starts another, maybe with other code. */
  private redeploy(changed: boolean, grace: number): void {
    const { process } = this;
    this.changed = changed;
    if (process === undefined) return;
    this.trace.note('stop', '', changed ? 'for changed code' : '');
    this.process = undefined;
    process.stop(grace).then(
      () => this.startProcess(),
      (error: unknown) => this.trace.violate(`the scheduler cannot be stopped: ${String(error)}`),
    );
  }

  private deployRemote(changed: boolean): void {
    this.trace.note('remote deploy', '', changed ? 'changed code' : '');
    this.remote.restart(changed);
    this.process?.scheduler.setFunctions(REMOTE, policies(changed));
  }

  private scheduleFaults(): void {
    const { faults, chance } = this;
    const sometimes = (count: number, happen: () => void): void => {
      for (let left = count; left > 0; left--) this.queue.schedule(chance.between(0, faults.until), happen);
    };
    sometimes(faults.stops, () => this.redeploy(this.changed, chance.whole(0, 2_000)));
    sometimes(faults.remoteCrashes, () => this.remote.restart(this.remote.changed));
    sometimes(faults.jumps, () => {
      const by = chance.whole(-5 * MINUTE, 5 * MINUTE);
      this.trace.note('clock set', '', `by ${by}`);
      this.wall.jump(by);
    });
    sometimes(faults.deploys, () => {
      if (chance.happens(0.5)) this.redeploy(!this.changed, chance.whole(0, 2_000));
      else this.deployRemote(!this.remote.changed);
    });
    sometimes(faults.fullDisks, () => {
      if (!this.isChaotic) return;
      this.disk.isFull = true;
      this.trace.note('disk full');
      this.queue.schedule(chance.between(10, 20_000), () => (this.disk.isFull = false));
    });
  }

  /** Nothing goes wrong from here on. Where calls wait for other code, that is brought back in turns. */
  private makePeace(): void {
    this.trace.note('peace');
    this.isChaotic = false;
    this.disk.isFull = false;
    const look = (): void => {
      if (this.finalStop !== 'no') return;
      if (this.isParked) {
        const changed = !this.changed;
        this.redeploy(changed, 1_000);
        if (this.remote.changed !== changed) this.deployRemote(changed);
      }
      if (this.ledger.unfinished > 0) this.queue.schedule(DEPLOY_INTERVAL, look);
    };
    this.queue.schedule(DEPLOY_INTERVAL, look);
  }

  private isResting(): boolean {
    return this.process !== undefined && this.disk.marks.size === 0;
  }

  private checkRest(): void {
    const { trace, process } = this;
    const running = process?.inspector.running ?? [];
    trace.check(running.length === 0, 'a call runs, and the store has none', ...running);
    const { slowStore, commitFails, fullDisks } = this.faults;
    if (slowStore + commitFails + fullDisks === 0) this.checkPauses();
    if (trace.violation) throw this.report();
  }

  /** A pause is random, but not so short that a commit takes longer, again and again. */
  private checkPauses(): void {
    const { all, paused } = this.ledger.retries;
    this.trace.check(all < RETRIES_TO_JUDGE || paused > 0, 'runs that failed are made again at once');
  }

  private async stop(): Promise<void> {
    this.finalStop = 'begun';
    this.process?.stop(1_000).then(
      () => (this.finalStop = 'done'),
      (error: unknown) => this.trace.violate(`the scheduler cannot be stopped: ${String(error)}`),
    );
    await this.until(() => this.finalStop === 'done', this.bound(HOUR), 'the scheduler does not stop');
    this.remote.restart(false);
  }

  protected override get marks(): number {
    return this.disk.marks.size;
  }

  protected override look(): void {
    // Timers run down whatever the clock is set to, so that nobody can say when what is due is started.
    if (this.faults.jumps === 0) this.process?.fairness.look();
    this.process?.restraint?.look();
  }
}

function planOf(seed: number): Plan {
  const strain = strainOf(new Chance(seed, 8));
  const someFaults = faultsOf(new Chance(seed, 2));
  const faults = strain ? gentle(someFaults) : someFaults;
  const programs = new Programs(new Chance(seed, 3), new Chance(seed, 6), strain?.calls ?? 0);
  const options = optionsOf(new Chance(seed, 4), new Chance(seed, 7), programs.isCrowded);
  return {
    chance: new Chance(seed, 1),
    faults,
    strain,
    programs,
    options: strain ? unlimited(options) : options,
    queue: new EventQueue(new Chance(seed, 5).random),
    crashes: faults.crashes,
    mayBlame: faults.crashes.length > 0 || faults.markFails > 0,
    command: '',
  };
}

function optionsOf(chance: Chance, scarcity: Chance, isCrowded: boolean): WorldOptions {
  const retention = chance.pick([30_000, HOUR]);
  const concurrency = chance.pick([2, 3, 8, 100]);
  const limited = (): { concurrency: number } => ({ concurrency: scarcity.whole(1, 4) });
  const slots = isCrowded ? scarcity.whole(1, 3) : concurrency;
  const endpoints: SchedulerOptions['endpoints'] = scarcity.happens(0.3)
    ? { [REMOTE]: limited(), [SCRIPTED]: limited() }
    : {};
  // In some, roots are to be removed while calls below them still clean up.
  const keeps = scarcity.happens(0.15) ? SHORT_RETENTION : retention;
  return {
    scheduler: {
      concurrency: slots,
      endpoints,
      ...workingOptions(chance),
      retention: keeps,
      purgeInterval: keeps / 3,
      longSleep: scarcity.pick([1, 600, 60_000]),
    },
    ...runtimeOptions(chance),
  };
}

/** Nothing is in the way but what an endpoint can take. */
function unlimited(options: WorldOptions): WorldOptions {
  return { ...options, scheduler: { ...options.scheduler, concurrency: 100, endpoints: {} } };
}
