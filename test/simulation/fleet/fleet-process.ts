import { EmbeddedTransport } from '../../../lib/engine/embedded.transport.js';
import type { RunRequest } from '../../../lib/gen/dispatch/sdk/v1/function_pb.js';
import { Scheduler, type Transport } from '../../../lib/scheduler/index.js';
import { policies, SimulatedApplication } from '../application.js';
import { RunningCalls } from '../casualties.js';
import { Inspector } from '../inspector.js';
import { silence } from '../life.js';
import { Network } from '../network.js';
import { LOCAL, REMOTE } from '../programs.js';
import { SimulatedProcess } from '../simulated-process.js';
import { SimulatedClock, WallClock } from '../simulated-clock.js';
import type { FleetWorld } from './fleet-world.js';
import { MemberStore } from './member-store.js';
import { PausableQueue } from './pausable-queue.js';

/** One of the processes that share a store. It may be killed between any two effects, paused, and cut off from the store. */
export class FleetProcess extends SimulatedProcess<FleetWorld> {
  readonly queue: PausableQueue;
  readonly store: MemberStore;
  readonly scheduler: Scheduler;
  readonly application: SimulatedApplication;
  readonly inspector: Inspector;
  readonly wall: WallClock;
  private readonly running: RunningCalls;

  constructor(
    world: FleetWorld,
    /** Functions that it does not have. */
    readonly lacks: ReadonlySet<string>,
    /** Its code is that of a deploy. */
    readonly changed: boolean,
    /** At which effect it is killed; 0: at none. */
    crashAt: number,
  ) {
    super(world, crashAt);
    const { life, effect } = this;
    const { chance, faults, trace, ledger, shared, options } = world;
    this.queue = new PausableQueue(world.queue, life);
    const wall = new WallClock(this.queue);
    this.wall = wall;
    const surroundings = {
      queue: this.queue,
      chance,
      faults,
      trace,
      get isChaotic() {
        return world.isChaotic;
      },
    };
    const { programs, effects } = world;
    const around = { chance, options, programs, effects, ledger, trace, wall, queue: this.queue };
    this.application = new SimulatedApplication(around, LOCAL, changed, life, () => this.kill('deadly'));
    const marks = { marks: shared.marks, unmarked: new Set<string>() };
    this.inspector = new Inspector(ledger, marks, trace, options.scheduler, wall, world.holders);
    this.running = new RunningCalls(world.queue);
    this.store = new MemberStore({
      running: this.running,
      shared,
      world: surroundings,
      queue: this.queue,
      network: world.queue,
      life,
      effect,
    });
    const incarnationOf = ({ dispatchId }: RunRequest): number =>
      ledger.calls.get(dispatchId)?.progress.incarnation ?? 1;
    const network = new Network(world.endpoints, surroundings, life, effect, incarnationOf);
    this.scheduler = new Scheduler(
      {
        store: this.store,
        transport: this.watched(new EmbeddedTransport(this.application, network)),
        clock: new SimulatedClock(wall, life, chance.random),
        random: chance.random,
        log: this.log(),
      },
      options.scheduler,
    );
    this.scheduler.setFunctions(
      LOCAL,
      policies(changed).filter(({ name }) => !lacks.has(name)),
    );
    this.scheduler.setFunctions(REMOTE, policies(false));
  }

  /** Looks at each run that is sent by a process which others count with. */
  private watched(embedded: Transport): Transport {
    return {
      extended: (endpoint) => embedded.extended(endpoint),
      run: async (endpoint, request, options) => {
        this.effect('run');
        if (!this.life.isAlive) return silence();
        const end = this.begin(endpoint, request, options);
        const ended = this.running.sent(request.dispatchId);
        const answer = await embedded.run(endpoint, request, options);
        if (!this.life.isAlive) return silence();
        end();
        // Where its live instance is gone, the same run is sent again.
        if (!answer.stateMissing) ended();
        return answer;
      },
    };
  }

  /** What a process begins that was declared dead while it was paused, and does not know it yet, comes to nothing. */
  private begin(endpoint: string, request: RunRequest, options: Parameters<Transport['run']>[2]): () => void {
    const { world, store } = this;
    if (store.identity?.hasEnded !== false) return () => undefined;
    world.checkBeginning(this, endpoint, request);
    return this.inspector.begin(endpoint, request, options.context, options.signal);
  }
}
