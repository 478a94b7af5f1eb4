import { EmbeddedTransport } from '../../lib/engine/embedded.transport.js';
import type { RunRequest } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';
import type { FunctionRunner, RunAnswer } from '../../lib/protocol/index.js';
import { Scheduler, type Transport } from '../../lib/scheduler/index.js';
import { policies, SimulatedApplication } from './application.js';
import { RunningCalls } from './casualties.js';
import { Fairness } from './fairness.js';
import { Inspector } from './inspector.js';
import { silence } from './life.js';
import { Network } from './network.js';
import { LOCAL, REMOTE } from './programs.js';
import { Restraint } from './restraint.js';
import { SimulatedClock } from './simulated-clock.js';
import { SimulatedProcess } from './simulated-process.js';
import { SimulatedStore } from './simulated-store.js';
import type { World } from './world.js';

/** The process that has the scheduler and the local functions. It may be killed between any two effects. */
export class SchedulerProcess extends SimulatedProcess<World> {
  readonly scheduler: Scheduler;
  readonly application: SimulatedApplication;
  readonly inspector: Inspector;
  readonly fairness: Fairness;
  readonly running: RunningCalls;
  readonly restraint: Restraint | undefined;

  constructor(
    world: World,
    readonly changed: boolean,
    /** At which effect it is killed; 0: at none. */
    crashAt: number,
  ) {
    super(world, crashAt);
    const { life, effect } = this;
    const { wall, chance, client, disk, ledger, trace, options, queue, programs } = world;
    const { concurrency } = options.scheduler;
    this.application = new SimulatedApplication(world, LOCAL, changed, life, () => this.kill('deadly'));
    this.running = new RunningCalls(queue);
    this.inspector = new Inspector(ledger, disk, trace, options.scheduler, wall);
    const priorities = new Set(programs.roots.map(({ priority }) => priority)).size;
    this.fairness = new Fairness(ledger, client, trace, wall, queue, concurrency, priorities);
    if (world.strain) this.restraint = new Restraint(world.strain, queue, trace, ledger, world.touched);
    this.scheduler = new Scheduler(
      {
        store: new SimulatedStore(disk, world, life, effect, this),
        transport: this.transport(),
        clock: new SimulatedClock(wall, life, chance.random),
        random: chance.random,
        log: this.log(),
      },
      options.scheduler,
    );
    this.scheduler.setFunctions(LOCAL, policies(changed));
    this.scheduler.setFunctions(REMOTE, policies(world.remote.changed));
  }

  private transport(): Transport {
    const { world, life, effect } = this;
    const local: FunctionRunner = { run: (request, options = {}) => this.runHere(request, options) };
    const incarnationOf = ({ dispatchId }: RunRequest): number =>
      world.ledger.calls.get(dispatchId)?.progress.incarnation ?? 1;
    const network = new Network(world.endpoints, world, life, effect, incarnationOf);
    const embedded = new EmbeddedTransport(local, network);
    return {
      extended: (endpoint) => embedded.extended(endpoint),
      run: async (endpoint, request, options) => {
        effect('run');
        if (!life.isAlive) return silence();
        const { dispatchId: id } = request;
        const end = this.inspector.begin(endpoint, request, options.context, options.signal);
        const ended = this.running.sent(id);
        const answer = await embedded.run(endpoint, request, options);
        if (!life.isAlive) return silence();
        end();
        // Where its live instance is gone, the same run is sent again.
        if (!answer.stateMissing) ended();
        this.restraint?.ended(id, answer, options.signal);
        return answer;
      },
    };
  }

  /** The answers of functions of this process overtake each other, too. */
  private async runHere(request: RunRequest, options: Parameters<FunctionRunner['run']>[1] = {}): Promise<RunAnswer> {
    const { chance, faults, queue, isChaotic } = this.world;
    const answer = await this.application.run(request, options);
    this.effect('answered');
    if (!isChaotic || !chance.happens(faults.slowAnswer)) return answer;
    return new Promise((resolve) => {
      queue.schedule(chance.between(0, 50), () => {
        if (this.life.isAlive) resolve(answer);
      });
    });
  }
}
