import { expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { DispatchClient, DispatchFunction, DispatchModule, sleep } from 'nestjs-dispatch';
import { TestTime } from 'nestjs-dispatch/testing';

@Injectable()
class Trials {
  readonly mails: string[] = [];

  @DispatchFunction()
  async begin(customer: string): Promise<void> {
    this.mails.push(`Welcome, ${customer}!`);
    await sleep('3d');
    this.mails.push(`Still there, ${customer}?`);
  }
}

it('writes again after three days', async () => {
  const time = new TestTime();
  const builder = Test.createTestingModule({ imports: [DispatchModule.forRoot()], providers: [Trials] });
  const app = await time.control(builder).compile(); // the real scheduler, in memory, on time that stands still
  await app.init();
  const trials = app.get(Trials);

  const id = await app.get(DispatchClient).dispatch(trials.begin, 'Ada');
  await time.drain(); // all that happens without time
  expect(trials.mails).toEqual(['Welcome, Ada!']);

  await time.advance('3d'); // takes milliseconds
  expect(trials.mails).toEqual(['Welcome, Ada!', 'Still there, Ada?']);
  expect(await app.get(DispatchClient).get(id)).toMatchObject({ state: 'succeeded' });
  await app.close();
});
