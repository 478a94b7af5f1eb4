import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { CoroutineRuntime, type DurableFunction, type FunctionLookup } from '../../lib/coroutine/index.js';
import { RunRequestSchema, RunResponseSchema, type RunRequest } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';
import type { FunctionRunner, RunAnswer, RunContext } from '../../lib/protocol/index.js';
import type { FunctionPolicy } from '../../lib/scheduler/index.js';
import type { EventQueue } from './event-queue.js';
import { Hearing } from './hearing.js';
import { FOR_EVER, Interpreter, type Application } from './interpreter.js';
import { Life, silence } from './life.js';
import type { Endpoint, Reply } from './network.js';
import type { Outcome } from './oracle.js';
import { FUNCTIONS, REMOTE, type Home, type Program } from './programs.js';
import { SimulatedClock } from './simulated-clock.js';
import type { SimulatedWorld } from './simulated-world.js';

/** What an application's process is in. */
export interface ApplicationWorld extends Pick<
  SimulatedWorld,
  'chance' | 'options' | 'programs' | 'effects' | 'ledger' | 'trace' | 'wall'
> {
  readonly queue: Pick<EventQueue, 'now' | 'schedule'>;
}

const log = { debug: () => undefined, warn: () => undefined, error: () => undefined };

/** An application of ours in its process: the functions of a home, and the runtime that runs them. */
export class SimulatedApplication implements Application, FunctionLookup, FunctionRunner {
  readonly runtime: CoroutineRuntime;
  /**
   * The incarnation that the last request of a call was of. A function that is begun twice with the same input cannot tell
   * of which it is: an instance that a late request has begun goes on with the results of the next incarnation.
   */
  private readonly incarnations = new Map<string, number>();

  constructor(
    private readonly world: ApplicationWorld,
    readonly home: Home,
    readonly changed: boolean,
    readonly life: Life,
    readonly kill: () => void,
  ) {
    const { chance, options } = world;
    this.runtime = new CoroutineRuntime({
      functions: this,
      clock: new SimulatedClock(world.wall, life, chance.random),
      log,
      random: chance.random,
      endpointUrl: home === REMOTE ? REMOTE : undefined,
      replay: options.replay,
      maxLive: options.maxLive,
      callsPerCommit: options.callsPerCommit,
    });
  }

  run(
    request: RunRequest,
    options: { context?: RunContext; signal?: AbortSignal },
    incarnation = options.context?.incarnation ?? 1,
  ): Promise<RunAnswer> {
    if (!this.life.isAlive) return silence();
    this.incarnations.set(request.dispatchId, incarnation);
    return this.runtime.run(request, options);
  }

  get(name: string): DurableFunction | undefined {
    if (!FUNCTIONS.has(name)) return undefined;
    return {
      name,
      version: versionOf(name, this.changed),
      invoke: ([input]) => new Interpreter(this).run(name, input),
    };
  }

  program(id: number): Program {
    const program = this.world.programs.get(id);
    if (program === undefined) throw new Error(`there is no program ${id}`);
    return program;
  }

  rootId(index: number): string {
    return this.world.programs.roots[index]?.id ?? '';
  }

  io(milliseconds: number): Promise<void> {
    if (milliseconds >= FOR_EVER) return silence();
    return new Promise((resolve) => {
      this.world.queue.schedule(milliseconds, () => {
        if (this.life.isAlive) resolve();
      });
    });
  }

  visit(call: string, expression: number): number {
    return this.world.effects.visit(call, expression);
  }

  produce(expression: number): string {
    return this.world.effects.produce(expression);
  }

  listen(call: string): Hearing {
    return new Hearing(this.world.ledger, this.world.trace, call, () => this.incarnationOf(call));
  }

  observe(call: string, expression: number, outcome: Outcome): void {
    if (this.life.isAlive) this.world.effects.observe(call, this.incarnationOf(call), expression, outcome);
  }

  private incarnationOf(call: string): number {
    return this.incarnations.get(call) ?? 1;
  }
}

/** Another application, behind the plain protocol: it dies and is deployed on its own. */
export class RemoteApplication implements Endpoint {
  private application: SimulatedApplication;

  constructor(private readonly world: ApplicationWorld) {
    this.application = this.deploy(false);
  }

  get changed(): boolean {
    return this.application.changed;
  }

  /** Ends its process and starts another, with that code. */
  restart(changed: boolean): void {
    const former = this.application;
    former.life.end();
    this.lost.splice(0).forEach((reset) => reset());
    this.application = this.deploy(changed);
    this.world.queue.schedule(0, () => former.runtime.close());
  }

  serve(bytes: Uint8Array, incarnation: number): Promise<Reply> {
    const request = fromBinary(RunRequestSchema, bytes);
    const lost = new Promise<never>((_resolve, reject) => {
      this.lost.push(() => reject(new Error('the process has ended')));
    });
    const run = this.application.run(request, {}, incarnation);
    return Promise.race([run.then(({ response }) => ({ bytes: toBinary(RunResponseSchema, response) })), lost]);
  }

  /** Those who wait for an answer that will not come. */
  private readonly lost: (() => void)[] = [];

  private deploy(changed: boolean): SimulatedApplication {
    return new SimulatedApplication(this.world, REMOTE, changed, new Life(), () =>
      this.world.queue.schedule(0, () => this.restart(this.changed)),
    );
  }
}

function versionOf(name: string, changed: boolean): string {
  return FUNCTIONS.get(name)?.changes === 'version' && changed ? '2' : '';
}

/** How the scheduler treats the functions of an application with that code. */
export function policies(changed: boolean): FunctionPolicy[] {
  return [...FUNCTIONS].map(([name, { concurrency, perKey, startAfterCommit, maxAttempts, onIncompatible }]) => ({
    name,
    version: versionOf(name, changed),
    concurrency,
    perKey,
    startAfterCommit,
    onIncompatible,
    retry: maxAttempts === undefined ? undefined : { maxAttempts },
  }));
}
