import { expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { DispatchFunction, DispatchModule, Status, ThrottleError } from 'nestjs-dispatch';
import { DispatchService, EndpointClient, pack } from 'nestjs-dispatch/testing';

@Injectable()
class Library {
  private asked = 0;

  @DispatchFunction()
  async find(title: string): Promise<string> {
    this.asked++;
    if (this.asked === 1) throw new ThrottleError('one moment, please');
    return `${title}, third shelf`;
  }

  @DispatchFunction()
  async report(title: string): Promise<string> {
    return `Found: ${await this.find(title)}`;
  }
}

it('makes one pass after another, and keeps what was said', async () => {
  const module = await Test.createTestingModule({
    imports: [DispatchModule.forRoot({ endpoint: { open: true }, scheduler: false })],
    providers: [Library],
  }).compile();
  const app = module.createNestApplication();
  const service = new DispatchService(EndpointClient.fromApp(app), {
    apiKey: 'secret',
    retryOnStatus: [Status.THROTTLED],
    collectRoundtrips: true,
  });

  const call = { endpoint: 'http://library.example', function: 'Library.report', input: pack('Emma') };
  const context = { headers: { authorization: 'Bearer secret' } };
  const [id = ''] = (await service.dispatch({ calls: [call] }, context)).dispatchIds;

  const passes: string[][] = [];
  while (service.queue.length > 0) {
    passes.push(service.queue.map(({ request }) => request.function));
    await service.dispatchCalls();
  }
  expect(passes).toEqual([['Library.report'], ['Library.find'], ['Library.find'], ['Library.report']]);

  const [began, resumed] = service.roundtrips.get(id) ?? [];
  expect(began?.[1].directive.case).toBe('poll');
  expect(resumed?.[0].directive.case).toBe('pollResult');
  expect(resumed?.[1].directive.case).toBe('exit');
  await app.close();
});
