import { expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { DispatchClient, DispatchFunction, DispatchModule, sleep, Status, ThrottleError } from 'nestjs-dispatch';
import { TestTime } from 'nestjs-dispatch/testing';

@Injectable()
class Accounts {
  readonly log: string[] = [];

  /** One at a time for each customer: see with({ key }) below. */
  @DispatchFunction()
  async renew(customer: string): Promise<void> {
    this.log.push(`renew ${customer}`);
    await sleep('1h');
    this.log.push(`renewed ${customer}`);
  }

  /** At most 5 runs, and of those of one customer at most 2 at a time. */
  @DispatchFunction({ concurrency: { runs: 5, perKey: 2 } })
  async export(customer: string): Promise<void> {
    this.log.push(`export ${customer}`);
  }

  /** Three attempts, and only where the bank asks for patience. */
  @DispatchFunction({ retry: { maxAttempts: 3, initial: '1s', max: '1m', retryOn: [Status.THROTTLED] } })
  async charge(): Promise<void> {
    this.log.push('charge');
    throw new ThrottleError('the bank is busy');
  }
}

it('keeps the calls of one customer apart, and lets urgent ones go first', async () => {
  const time = new TestTime();
  const module = DispatchModule.forRoot({
    scheduler: {
      concurrency: 1, // runs of this process
      endpoints: { 'https://reports.internal': { concurrency: 20 } }, // runs of that endpoint, at most
    },
  });
  const app = await time.control(Test.createTestingModule({ imports: [module], providers: [Accounts] })).compile();
  await app.init();
  const accounts = app.get(Accounts);
  const client = app.get(DispatchClient);

  const ada = client.with({ key: 'Ada' });
  await ada.dispatch(accounts.renew, 'Ada');
  await ada.dispatch(accounts.renew, 'Ada'); // begins when the first one has ended
  await client.with({ key: 'Bob', delay: '1m' }).dispatch(accounts.export, 'Bob');
  const charge = await client.with({ priority: 10, delay: '1m' }).dispatch(accounts.charge);
  await time.advance('2h');

  expect(accounts.log.slice(0, 2)).toEqual(['renew Ada', 'charge']); // before the export: a higher priority
  expect(accounts.log.filter((line) => line.endsWith('Ada'))).toEqual([
    'renew Ada',
    'renewed Ada',
    'renew Ada',
    'renewed Ada',
  ]);
  expect(accounts.log.filter((line) => line === 'charge')).toHaveLength(3);
  await expect(client.wait(charge)).rejects.toThrow('the bank is busy');
  await app.close();
});
