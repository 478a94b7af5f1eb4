import type { DispatchId, SchedulerOptions } from '../../lib/scheduler/index.js';
import { policies, RemoteApplication } from './application.js';
import { Casualties } from './casualties.js';
import { Chance } from './chance.js';
import { Client } from './client.js';
import { Effects } from './effects.js';
import { EventQueue } from './event-queue.js';
import { faultsOf, gentle, type Faults } from './faults.js';
import { Ledger } from './ledger.js';
import type { Endpoint } from './network.js';
import { Oracle, type Outcome } from './oracle.js';
import { Programs, REMOTE, SCRIPTED, STRAINED } from './programs.js';
import { SchedulerProcess } from './scheduler-process.js';
import { ScriptedEndpoint } from './scripted-endpoint.js';
import { strainOf, StrainedEndpoint, type Strain } from './strained-endpoint.js';
import { WallClock } from './simulated-clock.js';
import { Disk, type Surroundings } from './simulated-store.js';
import { Trace } from './trace.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** How long the world at peace may take to finish everything. */
const PATIENCE = 12 * HOUR;
/** How often it is looked whether calls wait for other code. */
const DEPLOY_INTERVAL = 10 * MINUTE;
/** Retries without any pause that cannot be by chance. */
const RETRIES_TO_JUDGE = 6;
/** Shorter than calls that were cancelled may clean up; milliseconds. */
const SHORT_RETENTION = 5_000;
/** More events than any seed needs that comes to an end. */
const MOST_EVENTS = 400_000;

export interface WorldOptions {
  readonly scheduler: Required<Pick<SchedulerOptions, 'concurrency' | 'retention' | 'purgeInterval'>> &
    SchedulerOptions;
  readonly replay: 'live' | 'always';
  readonly maxLive: number | undefined;
  readonly callsPerCommit: number;
}

/** Everything that a seed decides: programs, faults, settings, and the order in which things happen. */
export class World implements Surroundings {
  readonly chance: Chance;
  readonly faults: Faults;
  readonly strain: Strain | undefined;
  readonly programs: Programs;
  readonly options: WorldOptions;
  readonly queue: EventQueue;
  readonly wall: WallClock;
  readonly trace: Trace;
  readonly effects: Effects;
  readonly client: Client;
  readonly ledger: Ledger;
  readonly disk: Disk;
  readonly casualties = new Casualties();
  /** Calls of the strained endpoint that have begun to run. */
  readonly touched = new Set<DispatchId>();
  readonly remote: RemoteApplication;
  readonly endpoints: Map<string, Endpoint>;
  isChaotic = true;
  /** The process that runs; undefined while none has started. */
  process: SchedulerProcess | undefined;
  events = 0;

  /** Whether the local application has the changed code. */
  private changed = false;
  private crashes: number[];
  private readonly rootOutcomes = new Map<number, Outcome[]>();
  private finalStop: 'no' | 'begun' | 'done' = 'no';

  constructor(readonly seed: number) {
    this.chance = new Chance(seed, 1);
    this.strain = strainOf(new Chance(seed, 8));
    const faults = faultsOf(new Chance(seed, 2));
    this.faults = this.strain ? gentle(faults) : faults;
    this.programs = new Programs(new Chance(seed, 3), new Chance(seed, 6), this.strain?.calls ?? 0);
    const options = optionsOf(new Chance(seed, 4), new Chance(seed, 7), this.programs.isCrowded);
    this.options = this.strain ? unlimited(options) : options;
    this.crashes = [...this.faults.crashes];
    this.queue = new EventQueue(new Chance(seed, 5).random);
    this.wall = new WallClock(this.queue);
    this.trace = new Trace(
      () => this.queue.now,
      (id) => this.ledger.describe(id),
    );
    this.effects = new Effects(this.trace);
    this.client = new Client(this);
    const { retention } = this.options.scheduler;
    this.ledger = new Ledger(this.programs, this.trace, this.client, this.wall, retention, this.casualties);
    this.ledger.oracle = new Oracle(this.programs, {
      wasProduced: (value) => this.effects.wasProduced(value),
      rootEnded: (index, outcome) =>
        (this.rootOutcomes.get(index) ?? []).some((other) => JSON.stringify(other) === JSON.stringify(outcome)),
      mayBlame: this.crashes.length > 0 || this.faults.markFails > 0,
    });
    this.ledger.onRootEnded = (id, outcome) => {
      const index = this.client.indexOf(id);
      this.rootOutcomes.set(index, [...(this.rootOutcomes.get(index) ?? []), outcome]);
    };
    this.ledger.onPurged = (id) => this.effects.forget(id);
    this.disk = new Disk(this.ledger);
    this.remote = new RemoteApplication(this);
    this.endpoints = new Map<string, Endpoint>([
      [REMOTE, this.remote],
      [SCRIPTED, new ScriptedEndpoint(this.programs, this.trace)],
    ]);
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
    if (this.trace.violation) throw this.trace.report(this.seed);
  }

  /** A process was killed, or could not start: another follows. */
  processEnded(process: SchedulerProcess): void {
    if (this.process === process) this.process = undefined;
    this.casualties.died(process.running);
    this.disk.store.crash();
    this.queue.schedule(this.chance.between(0, 3_000), () => this.startProcess());
  }

  private startProcess(): void {
    const crashAt = this.isChaotic ? (this.crashes.shift() ?? 0) : 0;
    const process = new SchedulerProcess(this, this.changed, crashAt);
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
      const parked = [...this.ledger.calls.values()].filter(({ progress }) => progress.state === 'incompatible');
      if (parked.length > 0) {
        const changed = !this.changed;
        this.redeploy(changed, 1_000);
        if (this.remote.changed !== changed) this.deployRemote(changed);
      }
      if (this.ledger.unfinished > 0) this.queue.schedule(DEPLOY_INTERVAL, look);
    };
    this.queue.schedule(DEPLOY_INTERVAL, look);
  }

  private async confirm(): Promise<void> {
    let done = false;
    const confirmed = this.client.confirmAll().then(() => (done = true));
    await this.until(() => done, this.bound(HOUR), 'somebody waits for a call that has ended');
    await confirmed;
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
    if (trace.violation) throw trace.report(this.seed);
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

  private bound(milliseconds: number): number {
    return this.queue.now + milliseconds;
  }

  /** Lets one thing happen after the other until it is so. */
  private async until(isDone: () => boolean, latest: number, failure: string): Promise<void> {
    while (!isDone()) {
      this.events += 1;
      if (this.queue.next > latest || this.events > MOST_EVENTS || !this.queue.step()) {
        this.trace.violate(`${failure}: ${this.describeLeft()}`, ...this.leftIds());
        throw this.trace.report(this.seed);
      }
      await drained();
      // Timers run down whatever the clock is set to, so that nobody can say when what is due is started.
      if (this.faults.jumps === 0) this.process?.fairness.look();
      this.process?.restraint?.look();
      if (this.trace.violation) throw this.trace.report(this.seed);
    }
  }

  private leftIds(): string[] {
    const calls = [...this.ledger.calls.values()];
    const unfinished = calls.filter(({ finished }) => finished === undefined);
    return (unfinished.length > 0 ? unfinished : calls).slice(0, 5).map(({ header }) => header.id);
  }

  private describeLeft(): string {
    const { calls, unfinished } = this.ledger;
    return `${unfinished} of ${calls.size} calls have not ended after ${Math.round(this.queue.now / 1000)} s, ${this.events} events, ${this.disk.marks.size} marks`;
  }
}

/** All that was set off in this turn has been done: nothing but microtasks lies between two events. */
function drained(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
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
      startsPerTurn: chance.pick([1, 5, 500]),
      payloadMemory: chance.pick([0, 1_000, 1 << 20]),
      runTimeout: 90_000,
      cancelGrace: chance.pick([0, 1_000, 20_000]),
      retention: keeps,
      purgeInterval: keeps / 3,
      longSleep: scarcity.pick([1, 600, 60_000]),
    },
    replay: chance.happens(0.25) ? 'always' : 'live',
    maxLive: chance.happens(0.25) ? chance.whole(1, 4) : undefined,
    callsPerCommit: chance.pick([1, 3, 500]),
  };
}

/** Nothing is in the way but what an endpoint can take. */
function unlimited(options: WorldOptions): WorldOptions {
  return { ...options, scheduler: { ...options.scheduler, concurrency: 100, endpoints: {} } };
}
