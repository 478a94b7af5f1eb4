/**
 * Compiled by `npm run types`, never run: each line under `@ts-expect-error` must be a compile error, each other one none.
 */
import pg from 'pg';
import { DispatchFunction, type DispatchClient, type DispatchID, type DispatchModule } from '../../lib/index.js';

export class Work {
  @DispatchFunction()
  async add(a: number, b: number): Promise<number> {
    return a + b;
  }

  @DispatchFunction({ name: 'named', expiration: '1h', retry: { maxAttempts: 3 } })
  async greet(name: string, title?: string): Promise<string> {
    return `${title ?? ''} ${name}`;
  }

  @DispatchFunction()
  async nothing(): Promise<void> {}

  // @ts-expect-error a durable function is an async method
  @DispatchFunction()
  sync(): number {
    return 1;
  }

  // @ts-expect-error a durable function is a method
  @DispatchFunction()
  property = 1;

  // @ts-expect-error there is no such option
  @DispatchFunction({ retries: 3 })
  async misspelled(): Promise<void> {}
}

export async function check(client: DispatchClient, work: Work): Promise<void> {
  const id: DispatchID = await client.dispatch(work.add, 1, 2);
  const sum: number = await client.call(work.add, 1, 2);
  const text: string = await client.of(work).greet('a').result();
  const optional: string = await client.of(work).greet('a', 'b').result();
  const none: void = await client.call(work.nothing);
  const both: readonly [number, string] = await client.gather([
    client.of(work).add(1, 2),
    client.build(work.greet, 'x'),
  ]);
  const many: number[] = await client.gather([1, 2].map((value) => client.of(work).add(value, value)));
  const said: Date = await client.call<Date>({ endpoint: 'https://x', function: 'f', input: 1 });
  const ids: DispatchID[] = await client.batch().add(work.add, 1, 2).add(client.of(work).greet('x')).dispatch();
  await client.with({ delay: '1h', idempotencyKey: 'k', priority: 1, key: 'k' }).dispatch(work.greet, 'x');
  await client.call(client.of(work).add(1, 2), { timeout: '5s' });

  await client.with({ transaction: new pg.Client() }).dispatch(work.add, 1, 2);

  // @ts-expect-error an object that can do nothing is no transaction
  client.with({ transaction: {} });
  // @ts-expect-error an argument is missing
  await client.dispatch(work.add, 1);
  // @ts-expect-error an argument has another type
  await client.dispatch(work.add, 1, '2');
  // @ts-expect-error an argument is one too many
  await client.dispatch(work.add, 1, 2, 3);
  // @ts-expect-error the result has another type
  const wrong: string = await client.call(work.add, 1, 2);
  // @ts-expect-error an argument has another type
  client.of(work).add('1', 2);
  // @ts-expect-error a method that is not async is none of the proxy's
  client.of(work).sync();
  // @ts-expect-error a property is none of the proxy's
  void client.of(work).property;
  // @ts-expect-error a method that is not async cannot be dispatched
  await client.dispatch(work.sync);
  const unknown = await client.call({ function: 'f' });
  // @ts-expect-error the result of a call of another service is unknown until it is said
  unknown.toString();
  // @ts-expect-error there is no such option
  client.with({ later: '1h' });
  // @ts-expect-error the arguments of a batch are checked as well
  client.batch().add(work.add, 'x', 2);
  // @ts-expect-error the second result is a string
  const swapped: readonly [number, number] = await client.gather([
    client.of(work).add(1, 2),
    client.of(work).greet('x'),
  ]);

  void [id, sum, text, optional, none, both, many, said, ids, wrong, unknown, swapped];
}

export function options(module: typeof DispatchModule): void {
  module.forRoot({ scheduler: { store: 'memory:', retention: '7d' } });
  module.forRoot({ scheduler: false });
  module.forRootAsync({ useFactory: (a: string, b: number) => ({ apiUrl: a, maxLive: b }), inject: ['A', 'B'] });
  // @ts-expect-error there is no such option
  module.forRoot({ endpointURL: 'x' });
  // @ts-expect-error the scheduler is not switched on with true
  module.forRoot({ scheduler: true });
  // @ts-expect-error there is no such mode
  module.forRoot({ outside: 'never' });
}
