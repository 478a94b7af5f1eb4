import { Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { currentCall, DispatchFunction, gather, sleep } from 'nestjs-dispatch';
import { Ledger } from './ledger.js';

export const TILLS = 5;

/** What is in a till at the end of a day, in cents: what the fleet has to come to, however often it is killed. */
export const takings = (day: number, till: number): number => 10_000 + ((day * 7_919 + till * 104_729) % 90_000);

@Injectable()
export class Tills {
  constructor(private readonly ledger: Ledger) {}

  @DispatchFunction()
  async count(day: number, till: number): Promise<number> {
    await delay(20); // money takes its time
    const cents = takings(day, till);
    // Plain code may run again after a kill: the id of the call, which stays the same, keeps the entry from being made twice.
    await this.ledger.enter(currentCall().id, cents);
    return cents;
  }
}

@Injectable()
export class Shops {
  constructor(private readonly tills: Tills) {}

  @DispatchFunction()
  async closeDay(day: number): Promise<number> {
    const [first, ...others] = Array.from({ length: TILLS }, (_, till) => till);
    const begun = await this.tills.count(day, first ?? 0);
    await sleep('250ms');
    const counted = await gather(others.map((till) => this.tills.count(day, till)));
    return counted.reduce((sum, cents) => sum + cents, begun);
  }
}
