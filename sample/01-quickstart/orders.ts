import { Injectable, Logger } from '@nestjs/common';
import { randomInt } from 'node:crypto';
import { currentCall, DispatchFunction, gather, sleep, step, TemporaryError } from 'nestjs-dispatch';

export interface Order {
  customer: string;
  items: string[];
  /** When the courier comes: `'10s'`, `'2d'`. */
  deliverIn: string;
}

@Injectable()
export class Payments {
  private readonly logger = new Logger(Payments.name);

  @DispatchFunction()
  async charge(customer: string, cents: number): Promise<string> {
    const { id, attempt } = currentCall();
    if (attempt === 1) throw new TemporaryError('the bank does not answer'); // tried again, after a pause
    this.logger.log(`${customer} pays ${cents} cents, at attempt ${attempt}`);
    return `payment-${id}`; // the same id at each attempt: an idempotency key for the bank
  }
}

@Injectable()
export class Warehouse {
  private readonly logger = new Logger(Warehouse.name);

  @DispatchFunction({ concurrency: 4 })
  async pack(item: string): Promise<string> {
    this.logger.log(`packing ${item}`);
    return `a parcel with ${item}`;
  }
}

@Injectable()
export class Orders {
  constructor(
    private readonly payments: Payments,
    private readonly warehouse: Warehouse,
  ) {}

  @DispatchFunction()
  async place({ customer, items, deliverIn }: Order) {
    const code = await step(() => randomInt(1000, 10_000)); // runs once: its result is recorded
    const payment = await this.payments.charge(customer, items.length * 500);
    const parcels = await gather(items.map((item) => this.warehouse.pack(item))); // all at once, on disk when it goes on
    await sleep(deliverIn); // minutes or months: kill the process, deploy, start it again
    return { customer, payment, parcels, code };
  }
}
