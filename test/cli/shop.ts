import { Injectable } from '@nestjs/common';
import { DispatchFunction, gather, sleep } from '../../lib/index.js';

/** Functions that the commands look at. */
@Injectable()
export class Shop {
  private readonly holds: (() => void)[] = [];

  @DispatchFunction()
  async double(value: number): Promise<number> {
    return value * 2;
  }

  @DispatchFunction()
  async sum(values: number[], factor: number): Promise<number> {
    const doubled = await gather(values.map((value) => this.double(value)));
    return factor * doubled.reduce((a, b) => a + b, 0);
  }

  @DispatchFunction()
  async fail(): Promise<never> {
    throw new RangeError('out of range');
  }

  @DispatchFunction()
  async nap(): Promise<string> {
    await sleep('1h');
    return 'awake';
  }

  /** Runs until `release`. */
  @DispatchFunction()
  async held(): Promise<string> {
    await new Promise<void>((resolve) => this.holds.push(resolve));
    return 'released';
  }

  release(): void {
    for (const resolve of this.holds.splice(0)) resolve();
  }

  get isHeld(): boolean {
    return this.holds.length > 0;
  }
}
