import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../support/fleet.js';
import type { TestDatabase } from '../support/postgres.js';
import type { History } from './history.js';
import type { Machine } from './machine.js';
import type { Record } from './record.js';

/** What each fault is, for those who read the output. */
export const FAULTS = {
  kill: 'a process is killed, and replaced',
  pause: 'a process is stopped until others have declared it dead, and goes on then',
  cut: 'connections of all processes are cut, again and again',
  hold: 'what a process sends is held up until others have declared it dead, and arrives then',
  shut: 'a process cannot reach the server until others have declared it dead',
  restart: 'the server crashes, and comes back after up to two leases',
  failover: 'the server crashes for ever, and its synchronous standby takes its place',
} as const;

export type Fault = keyof typeof FAULTS;

/** All but the one that needs a standby. */
export const USUAL_FAULTS: readonly Fault[] = ['hold', 'kill', 'pause', 'cut', 'shut', 'restart'];

export interface NemesisParts {
  readonly machines: readonly Machine[];
  readonly database: TestDatabase;
  readonly record: Record;
  readonly history: History;
  readonly random: () => number;
  /** Milliseconds. */
  readonly lease: number;
}

const CUTS = 10;

/** Does harm to the fleet, on purpose. */
export class Nemesis {
  constructor(private readonly parts: NemesisParts) {}

  async inflict(fault: Fault): Promise<void> {
    const { history } = this.parts;
    const victim = this.pick();
    history.note('nemesis', `${fault} ${victim.number}`);
    await delay(this.upTo(300));
    await this.carryOut(fault, victim);
    history.note('nemesis', `${fault} is over`);
  }

  private async carryOut(fault: Fault, victim: Machine): Promise<void> {
    const { database, lease } = this.parts;
    switch (fault) {
      case 'kill':
        victim.kill();
        return victim.started();
      case 'pause':
        return this.untilDead(
          victim,
          () => victim.signal('SIGSTOP'),
          () => victim.signal('SIGCONT'),
        );
      case 'cut':
        return this.cutAll();
      case 'hold':
        return this.untilDead(
          victim,
          () => victim.gate.hold(),
          () => victim.gate.open(),
        );
      case 'shut':
        return this.untilDead(
          victim,
          () => victim.gate.shut(),
          () => victim.gate.open(),
        );
      case 'restart':
        return database.crash(this.upTo(2 * lease));
      case 'failover':
        return database.failOver(this.upTo(2 * lease));
    }
  }

  private async cutAll(): Promise<void> {
    for (let n = 0; n < CUTS; n++) {
      this.pick().gate.cut();
      await delay(this.upTo(100));
    }
  }

  /** Takes a process out of the fleet until the others have noticed. */
  private async untilDead(victim: Machine, begin: () => void, end: () => void): Promise<void> {
    const { record } = this.parts;
    await victim.started();
    const member = await until(() => record.memberOf(victim.pid ?? 0));
    begin();
    try {
      await until(() => record.isDead(member));
    } finally {
      end();
    }
  }

  private pick(): Machine {
    const { machines, random } = this.parts;
    const machine = machines[Math.floor(random() * machines.length)];
    if (machine === undefined) throw new Error('there is no machine');
    return machine;
  }

  private upTo(milliseconds: number): number {
    return this.parts.random() * milliseconds;
  }
}
