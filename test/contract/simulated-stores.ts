import { MemberStore, LEASE } from '../simulation/fleet/member-store.js';
import { PausableQueue } from '../simulation/fleet/pausable-queue.js';
import { SharedMemory } from '../simulation/fleet/shared-memory.js';
import { RunningCalls } from '../simulation/casualties.js';
import { Chance } from '../simulation/chance.js';
import { EventQueue, type Scheduled } from '../simulation/event-queue.js';
import { faultsOf } from '../simulation/faults.js';
import { Life } from '../simulation/life.js';
import { Trace } from '../simulation/trace.js';
import { NOW } from './calls.js';
import type { MortalSharedStore, SharedStores } from './shared.contract.js';

/** What somebody waits for happens within so many milliseconds; what is later is only a matter of time. */
const SOON = 10;

/** Time goes on by itself to what is about to happen, and by `pass` to all else. */
class SelfMovingQueue extends EventQueue {
  private isMoving = false;

  override schedule(delay: number, action: () => void): Scheduled {
    const scheduled = super.schedule(delay, action);
    if (!this.isMoving) {
      this.isMoving = true;
      setImmediate(() => this.move());
    }
    return scheduled;
  }

  async pass(milliseconds: number): Promise<void> {
    const end = this.now + milliseconds;
    super.schedule(milliseconds, () => undefined);
    while (this.next <= end) {
      this.step();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  private move(): void {
    this.isMoving = this.next - this.now <= SOON;
    if (!this.isMoving) return;
    this.step();
    setImmediate(() => this.move());
  }
}

/** The store that simulated processes share, where nothing goes wrong. */
export class SimulatedStores implements SharedStores {
  private readonly chance = new Chance(1, 1);
  private readonly queue = new SelfMovingQueue(this.chance.random);
  private readonly shared = new SharedMemory(
    { apply: () => undefined, requestCancel: () => undefined, now: NOW },
    this.queue,
    LEASE,
    this.chance.random,
  );
  private readonly stores: MortalMemberStore[] = [];

  async open(): Promise<MortalSharedStore> {
    const store = this.make();
    await store.open();
    return store;
  }

  /** Not open. */
  make(): MortalMemberStore {
    const { chance, queue, shared } = this;
    const life = new Life();
    const own = new PausableQueue(queue, life);
    const trace = new Trace(
      () => queue.now,
      () => '',
    );
    const world = { queue: own, chance, faults: faultsOf(chance), trace, isChaotic: false };
    const running = new RunningCalls(queue);
    const parts = { shared, world, queue: own, network: queue, life, running, effect: () => undefined };
    const store = new MortalMemberStore(parts, () => this.expire());
    this.stores.push(store);
    return store;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.stores.splice(0).map((store) => store.close()));
  }

  /** Nobody shows a sign of life until all leases are over; then somebody comes who looks for that. */
  private async expire(): Promise<void> {
    for (const store of this.stores) store.cut(LEASE + 1);
    await this.queue.pass(LEASE + 1);
    const judge = this.make();
    await judge.open();
    await judge.claim(0, { endpoints: [], functions: [] });
    await judge.close();
  }
}

class MortalMemberStore extends MemberStore implements MortalSharedStore {
  constructor(
    parts: ConstructorParameters<typeof MemberStore>[0],
    readonly die: () => Promise<void>,
  ) {
    super(parts);
  }
}
