import { describe, it } from '@jest/globals';
import { expectTypeOf } from 'expect-type';
import type { ArgumentsOf, CallsOf, DispatchCall, ResultOf, ResultsOf } from '../../lib/index.js';

interface Provider {
  add(a: number, b: number): Promise<number>;
  greet(name: string, title?: string): Promise<string>;
  sync(): number;
  readonly property: string;
}

describe('the types of the client', () => {
  it('give the proxy of a provider its async methods, each building a call of its result', () => {
    expectTypeOf<keyof CallsOf<Provider>>().toEqualTypeOf<'add' | 'greet'>();
    expectTypeOf<CallsOf<Provider>['add']>().toEqualTypeOf<(a: number, b: number) => DispatchCall<number>>();
    expectTypeOf<CallsOf<Provider>['greet']>().toEqualTypeOf<(name: string, title?: string) => DispatchCall<string>>();
  });

  it('take arguments and results from the method', () => {
    expectTypeOf<ArgumentsOf<Provider['greet']>>().toEqualTypeOf<[name: string, title?: string]>();
    expectTypeOf<ResultOf<Provider['greet']>>().toEqualTypeOf<string>();
    expectTypeOf<ResultsOf<readonly [DispatchCall<number>, DispatchCall<string>]>>().toEqualTypeOf<[number, string]>();
  });

  it('await what a call promises', () => {
    expectTypeOf<DispatchCall<Date>['result']>().returns.resolves.toEqualTypeOf<Date>();
    expectTypeOf<DispatchCall<Date>['dispatch']>().returns.resolves.toEqualTypeOf<string>();
  });
});
