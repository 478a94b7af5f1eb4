import type { DispatchId, SchedulerOptions } from '../../lib/scheduler/index.js';
import { RemoteApplication } from './application.js';
import type { Casualties } from './casualties.js';
import type { Chance } from './chance.js';
import { Client, type ClientWorld } from './client.js';
import { Effects } from './effects.js';
import type { EventQueue } from './event-queue.js';
import type { Faults } from './faults.js';
import { Ledger } from './ledger.js';
import type { Endpoint } from './network.js';
import { Oracle, type Outcome } from './oracle.js';
import { type Programs, REMOTE, SCRIPTED } from './programs.js';
import { ScriptedEndpoint } from './scripted-endpoint.js';
import type { WallClock } from './simulated-clock.js';
import type { Strain } from './strained-endpoint.js';
import { Trace, type Violation } from './trace.js';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
/** How long the world at peace may take to finish everything. */
export const PATIENCE = 12 * HOUR;
/** How often it is looked whether calls wait for other code, where nothing goes wrong any more. */
export const DEPLOY_INTERVAL = 10 * MINUTE;
/** More events than any seed needs that comes to an end. */
const MOST_EVENTS = 400_000;

export interface WorldOptions {
  readonly scheduler: Required<Pick<SchedulerOptions, 'concurrency' | 'retention' | 'purgeInterval'>> &
    SchedulerOptions;
  readonly replay: 'live' | 'always';
  readonly maxLive: number | undefined;
  readonly callsPerCommit: number;
}

/** What a seed decides before anything happens. */
export interface Plan {
  readonly chance: Chance;
  readonly faults: Faults;
  readonly strain: Strain | undefined;
  readonly programs: Programs;
  readonly options: WorldOptions;
  readonly queue: EventQueue;
  /** The effects at which processes are killed, one after the other. */
  readonly crashes: readonly number[];
  /** Calls may be given up for crashes that they have not caused. */
  readonly mayBlame: boolean;
  /** What repeats the seed, beside its number. */
  readonly command: string;
}

/** What simulated worlds have in common: programs that clients begin, what is recorded of them, and who watches over it. */
export abstract class SimulatedWorld<W extends WallClock = WallClock> {
  readonly chance: Chance;
  readonly faults: Faults;
  readonly strain: Strain | undefined;
  readonly programs: Programs;
  readonly options: WorldOptions;
  readonly queue: EventQueue;
  readonly trace: Trace;
  readonly effects: Effects;
  readonly client: Client;
  readonly ledger: Ledger;
  readonly remote: RemoteApplication;
  readonly endpoints: Map<string, Endpoint>;
  abstract readonly casualties: Pick<Casualties, 'count'>;
  abstract readonly process: ClientWorld['process'];
  isChaotic = true;
  events = 0;

  private readonly crashes: number[];
  private readonly command: string;
  private readonly rootOutcomes = new Map<number, Outcome[]>();

  constructor(
    readonly seed: number,
    plan: Plan,
    readonly wall: W,
  ) {
    this.chance = plan.chance;
    this.faults = plan.faults;
    this.strain = plan.strain;
    this.programs = plan.programs;
    this.options = plan.options;
    this.queue = plan.queue;
    this.crashes = [...plan.crashes];
    this.command = plan.command;
    this.trace = new Trace(
      () => this.queue.now,
      (id) => this.ledger.describe(id),
    );
    this.effects = new Effects(this.trace);
    this.client = new Client(this);
    const { retention } = this.options.scheduler;
    const casualties = { count: (id: DispatchId) => this.casualties.count(id) };
    this.ledger = new Ledger(this.programs, this.trace, this.client, wall, retention, casualties);
    this.ledger.oracle = new Oracle(this.programs, {
      wasProduced: (value) => this.effects.wasProduced(value),
      rootEnded: (index, outcome) =>
        (this.rootOutcomes.get(index) ?? []).some((other) => JSON.stringify(other) === JSON.stringify(outcome)),
      mayBlame: plan.mayBlame,
    });
    this.ledger.onRootEnded = (id, outcome) => {
      const index = this.client.indexOf(id);
      this.rootOutcomes.set(index, [...(this.rootOutcomes.get(index) ?? []), outcome]);
    };
    this.ledger.onPurged = (id) => this.effects.forget(id);
    this.remote = new RemoteApplication(this);
    this.endpoints = new Map<string, Endpoint>([
      [REMOTE, this.remote],
      [SCRIPTED, new ScriptedEndpoint(this.programs, this.trace)],
    ]);
  }

  /** How many calls are marked as running. */
  protected abstract get marks(): number;

  /** Looks at what can be told at any time, after an event. */
  protected look(): void {}

  /** At which effect the next process is killed; 0: at none. */
  protected nextCrash(): number {
    return this.isChaotic ? (this.crashes.shift() ?? 0) : 0;
  }

  /** Some call waits for code that is not there. */
  protected get isParked(): boolean {
    return [...this.ledger.calls.values()].some(({ progress }) => progress.state === 'incompatible');
  }

  /** Whoever waits for a call hears of its end. */
  protected async confirm(): Promise<void> {
    let done = false;
    const confirmed = this.client.confirmAll().then(() => (done = true));
    await this.until(() => done, this.bound(HOUR), 'somebody waits for a call that has ended');
    await confirmed;
  }

  protected bound(milliseconds: number): number {
    return this.queue.now + milliseconds;
  }

  /** Lets one thing happen after the other until it is so. */
  protected async until(isDone: () => boolean, latest: number, failure: string): Promise<void> {
    while (!isDone()) {
      this.events += 1;
      if (this.queue.next > latest || this.events > MOST_EVENTS || !this.queue.step()) {
        this.trace.violate(`${failure}: ${this.describeLeft()}`, ...this.leftIds());
        throw this.report();
      }
      await drained();
      this.look();
      if (this.trace.violation) throw this.report();
    }
  }

  protected report(): Violation {
    return this.trace.report(this.seed, this.command);
  }

  private leftIds(): string[] {
    const calls = [...this.ledger.calls.values()];
    const unfinished = calls.filter(({ finished }) => finished === undefined);
    return (unfinished.length > 0 ? unfinished : calls).slice(0, 5).map(({ header }) => header.id);
  }

  private describeLeft(): string {
    const { calls, unfinished } = this.ledger;
    return `${unfinished} of ${calls.size} calls have not ended after ${Math.round(this.queue.now / 1000)} s, ${this.events} events, ${this.marks} marks`;
  }
}

/** All that was set off in this turn has been done: nothing but microtasks lies between two events. */
function drained(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** How a scheduler goes about its work: no result depends on it. */
export function workingOptions(
  chance: Chance,
): Pick<SchedulerOptions, 'startsPerTurn' | 'payloadMemory' | 'runTimeout' | 'cancelGrace'> {
  return {
    startsPerTurn: chance.pick([1, 5, 500]),
    payloadMemory: chance.pick([0, 1_000, 1 << 20]),
    runTimeout: 90_000,
    cancelGrace: chance.pick([0, 1_000, 20_000]),
  };
}

/** The same of the runtime. */
export function runtimeOptions(chance: Chance): Pick<WorldOptions, 'replay' | 'maxLive' | 'callsPerCommit'> {
  return {
    replay: chance.happens(0.25) ? 'always' : 'live',
    maxLive: chance.happens(0.25) ? chance.whole(1, 4) : undefined,
    callsPerCommit: chance.pick([1, 3, 500]),
  };
}
