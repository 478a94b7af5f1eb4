import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SystemClock } from '../../../lib/protocol/index.js';

describe('the clock of the machine', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('rings at a time months ahead, which no timer of the machine can wait for', () => {
    const rung = jest.fn();
    const clock = new SystemClock();
    const day = 86_400_000;
    clock.at(clock.now() + 60 * day, rung);
    jest.advanceTimersByTime(60 * day - 1);
    expect(rung).not.toHaveBeenCalled();
    jest.advanceTimersByTime(1);
    expect(rung).toHaveBeenCalledTimes(1);
  });

  it('rings at once for a time that has passed', () => {
    const rung = jest.fn();
    const clock = new SystemClock();
    clock.at(clock.now() - 1, rung);
    expect(rung).not.toHaveBeenCalled();
    jest.advanceTimersByTime(1);
    expect(rung).toHaveBeenCalledTimes(1);
  });

  it('does not ring once it is cancelled', () => {
    const rung = jest.fn();
    const clock = new SystemClock({ unref: true });
    const alarm = clock.at(clock.now() + 2 ** 32, rung);
    jest.advanceTimersByTime(2 ** 31);
    alarm.cancel();
    jest.advanceTimersByTime(2 ** 33);
    expect(rung).not.toHaveBeenCalled();
  });

  it('defers to the end of the turn', () => {
    const order: string[] = [];
    new SystemClock().defer(() => order.push('deferred'));
    order.push('now');
    jest.advanceTimersByTime(0);
    expect(order).toEqual(['now', 'deferred']);
  });
});
