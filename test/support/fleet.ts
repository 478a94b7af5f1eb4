import { setTimeout as delay } from 'node:timers/promises';
import { Status } from '../../lib/errors/index.js';
import { SystemClock } from '../../lib/protocol/index.js';
import {
  PostgresStore,
  Scheduler,
  secureRandom,
  type CallOutcome,
  type DispatchId,
  type FunctionPolicy,
  type NewCall,
  type PostgresStoreOptions,
  type SchedulerOptions,
  type Transport,
} from '../../lib/scheduler/index.js';
import { failed, LOCAL, Log, read, type Script } from '../unit/scheduler/world.js';

/** A lease that a test can wait for. */
export const LEASE = 1_500;

export interface MemberOptions {
  readonly scheduler?: SchedulerOptions;
  readonly store?: PostgresStoreOptions;
  /** Of all its functions. */
  readonly version?: string;
  /** Of some of its functions. */
  readonly policies?: readonly FunctionPolicy[];
}

/** One of several schedulers on a database, each with functions of its own, in real time. */
export class Member {
  readonly log = new Log();
  /** Functions that were run here, in order. */
  readonly runs: string[] = [];
  readonly scheduler: Scheduler;
  private stopping: Promise<void> | undefined;

  private constructor(url: string, functions: Readonly<Record<string, Script>>, options: MemberOptions) {
    const transport: Transport = {
      extended: (endpoint) => endpoint === LOCAL,
      run: async (_endpoint, request, runOptions) => {
        this.runs.push(request.function);
        const script = functions[request.function];
        return script ? script(request, runOptions) : failed(Status.NOT_FOUND, `no function ${request.function}`);
      },
    };
    const store = new PostgresStore(url, { lease: LEASE, ...options.store });
    const { log } = this;
    const parts = { store, transport, clock: new SystemClock(), random: secureRandom(), log };
    this.scheduler = new Scheduler(parts, options.scheduler);
    this.scheduler.setFunctions(
      LOCAL,
      Object.keys(functions).map((name) => ({
        version: options.version,
        ...(options.policies?.find((policy) => policy.name === name) ?? { name }),
      })),
    );
  }

  static async start(
    url: string,
    functions: Readonly<Record<string, Script>>,
    options: MemberOptions = {},
  ): Promise<Member> {
    const member = new Member(url, functions, options);
    await member.scheduler.start();
    return member;
  }

  async dispatch(name: string, call: Partial<NewCall> = {}): Promise<DispatchId> {
    const [id = ''] = await this.scheduler.dispatch([{ endpoint: LOCAL, function: name, ...call }]);
    return id;
  }

  async result(id: DispatchId): Promise<string | undefined> {
    return outputOf(await this.scheduler.wait(id));
  }

  stop(): Promise<void> {
    return (this.stopping ??= this.scheduler.stop({ grace: 0 }));
  }
}

export const outputOf = ({ result }: CallOutcome): string | undefined => read(result.output);

/** Waits for what has to come: a test that waits in vain is ended by its time limit. */
export async function until<T>(look: () => T | Promise<T>): Promise<Exclude<T, undefined | false>> {
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>;
    await delay(10);
  }
}
