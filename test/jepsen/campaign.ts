import { setTimeout as delay } from 'node:timers/promises';
import { TestDatabase } from '../support/postgres.js';
import { seeded } from '../support/seeded.js';
import { Gate } from './gate.js';
import { History } from './history.js';
import { Machine } from './machine.js';
import { Nemesis, USUAL_FAULTS, type Fault } from './nemesis.js';
import { Pooler } from './pooler.js';
import { Record } from './record.js';
import { sizeOf, treeOf, type Tree } from './trees.js';
import { judgeAnswers, judgeLeftovers, judgeRecord } from './verdict.js';

export interface CampaignOptions {
  readonly seed: number;
  /** At least so many calls, in trees. */
  readonly calls: number;
  readonly processes: number;
  /** The server has a standby, which takes its place in the middle. */
  readonly failover?: boolean;
  /** Processes reach the server through PgBouncer. */
  readonly pooler?: boolean;
  /** Is told what happens, for those who watch. */
  readonly say?: (line: string) => void;
}

export interface Outcome {
  /** What must not have happened. */
  readonly wrong: readonly string[];
  /** How often each fault was inflicted. */
  readonly faults: Readonly<Partial<{ [fault in Fault]: number }>>;
  readonly roots: number;
  readonly calls: number;
  /** Commits of processes that counted as dead, which the store has refused. */
  readonly refusals: number;
  /** Processes that were declared dead, or ended. */
  readonly members: number;
  /** Calls that ran more than once: for a failure of their own, or because their process was gone. */
  readonly repeated: number;
  /** All that happened, in order. */
  readonly history: readonly string[];
}

/** Milliseconds: short, so that pauses beyond it are. */
const LEASE = 1_500;
const CALLS_PER_FAULT = 400;
/** One of so many roots is dispatched by two processes at once. */
const DISPATCHED_TWICE = 10;
/** Nothing was answered for so long: milliseconds. */
const STALLED = 120_000;

/** The fleet does not come to an end. */
export class Stalled extends Error {
  constructor(
    message: string,
    readonly history: History,
  ) {
    super(message);
  }
}

/** Has a fleet carry out trees of calls while all kinds of harm are done to it, and judges what became of them. */
export async function runCampaign(options: CampaignOptions): Promise<Outcome> {
  const database = options.failover ? await TestDatabase.openWithStandby() : await TestDatabase.open();
  try {
    const record = await Record.make(database);
    const campaign = await Campaign.prepare(options, database, record);
    try {
      return await campaign.run();
    } finally {
      await campaign.close();
    }
  } finally {
    await database.close();
  }
}

class Campaign {
  private readonly history = new History();
  private readonly trees: readonly Tree[];
  private readonly random: () => number;
  /** Each root is waited for in two processes. */
  private answers = 0;

  private constructor(
    private readonly options: CampaignOptions,
    private readonly database: TestDatabase,
    private readonly record: Record,
    private readonly pooler: Pooler | undefined,
    private readonly machines: Machine[] = [],
  ) {
    this.random = seeded(options.seed);
    this.trees = treesOf(options);
  }

  static async prepare(options: CampaignOptions, database: TestDatabase, record: Record): Promise<Campaign> {
    const pooler = options.pooler ? await Pooler.start(database.place) : undefined;
    const campaign = new Campaign(options, database, record, pooler);
    for (let n = 0; n < options.processes; n++) await campaign.addMachine(n);
    return campaign;
  }

  async run(): Promise<Outcome> {
    const { history, machines, trees, record } = this;
    const faults = faultsOf(this.options, this.random);
    await Promise.all(machines.map((machine) => machine.started()));
    await this.work(faults);
    await Promise.all(machines.map((machine) => machine.end()));
    const wrong = [...judgeAnswers(history, trees), ...(await judgeRecord(record, trees))];
    const figures = await record.figures();
    wrong.push(...(await judgeLeftovers(record)));
    return {
      ...figures,
      wrong,
      faults: countEach(faults),
      roots: trees.length,
      refusals: history.refusals,
      history: history.lines,
    };
  }

  /** Ends what is still there. */
  async close(): Promise<void> {
    await Promise.all(this.machines.map((machine) => machine.destroy()));
    await this.pooler?.stop();
  }

  /** Each fault meets work: a part of the trees is half done, and the next has just been dispatched. */
  private async work(faults: readonly Fault[]): Promise<void> {
    const { options, database, record, history, machines, random, trees } = this;
    const nemesis = new Nemesis({ machines, database, record, history, random, lease: LEASE });
    const portion = trees.length / (faults.length + 1);
    this.dispatch(0, portion);
    for (const [index, fault] of faults.entries()) {
      await this.untilAnswered((index + 0.5) * portion);
      this.dispatch((index + 1) * portion, (index + 2) * portion);
      options.say?.(`${Math.floor(this.answers / 2)} of ${trees.length} trees have ended: ${fault}`);
      await nemesis.inflict(fault);
    }
    await this.untilAnswered(trees.length);
  }

  private dispatch(from: number, to: number): void {
    for (let root = Math.ceil(from); root < to && root < this.trees.length; root++) {
      const [first, second] = this.clientsOf(root);
      first.dispatch(root);
      if (root % DISPATCHED_TWICE === 0) second.dispatch(root);
    }
  }

  private acknowledged(root: number, id: string): void {
    for (const client of this.clientsOf(root)) client.wait(id);
  }

  /** The machines that dispatch a root and wait for it. */
  private clientsOf(root: number): [Machine, Machine] {
    const { machines, options } = this;
    const random = seeded(options.seed * 31 + root);
    const first = Math.floor(random() * machines.length);
    const second = first + 1 + Math.floor(random() * (machines.length - 1));
    return [machineAt(machines, first), machineAt(machines, second)];
  }

  private async untilAnswered(roots: number): Promise<void> {
    let [seen, since] = [this.answers, performance.now()];
    while (this.answers < 2 * roots) {
      await delay(20);
      if (this.answers !== seen) [seen, since] = [this.answers, performance.now()];
      if (performance.now() - since < STALLED) continue;
      const questions = this.machines.flatMap((machine) =>
        machine.questions.map((text) => `${machine.number}: ${text}`),
      );
      throw new Stalled(
        `Nothing was answered for ${STALLED / 1_000} s. Unanswered: ${questions.join('; ')}`,
        this.history,
      );
    }
  }

  private async addMachine(number: number): Promise<void> {
    const { database, pooler, record, history, options } = this;
    const gate = await Gate.to(() => pooler?.place ?? database.place);
    const url = new URL(record.url);
    url.searchParams.set('host', '127.0.0.1');
    url.searchParams.set('port', String(gate.port));
    this.machines.push(
      new Machine({
        number,
        gate,
        history,
        args: [url.href, String(LEASE), String(options.seed), record.schema],
        onAcknowledged: (root, id) => this.acknowledged(root, id),
        onAnswered: () => (this.answers += 1),
      }),
    );
  }
}

function treesOf({ seed, calls }: CampaignOptions): Tree[] {
  const trees: Tree[] = [];
  for (let size = 0; size < calls;) {
    const tree = treeOf(seed, trees.length);
    trees.push(tree);
    size += sizeOf(tree);
  }
  return trees;
}

/** Each of the usual ones about as often, in an order of its own each time. */
function faultsOf({ calls, failover }: CampaignOptions, random: () => number): Fault[] {
  const faults: Fault[] = [];
  while (faults.length < Math.max(USUAL_FAULTS.length, calls / CALLS_PER_FAULT)) {
    faults.push(
      ...USUAL_FAULTS.map((fault) => [random(), fault] as const)
        .sort(([a], [b]) => a - b)
        .map(([, fault]) => fault),
    );
  }
  if (failover) faults.splice(Math.floor(faults.length / 2), 0, 'failover');
  return faults;
}

function countEach(faults: readonly Fault[]): Outcome['faults'] {
  const counts: Partial<{ [fault in Fault]: number }> = {};
  for (const fault of faults) counts[fault] = (counts[fault] ?? 0) + 1;
  return counts;
}

function machineAt(machines: readonly Machine[], index: number): Machine {
  const machine = machines[index % machines.length];
  if (machine === undefined) throw new Error('there is no machine');
  return machine;
}
