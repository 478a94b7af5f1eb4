import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SystemClock } from '../../lib/protocol/index.js';

describe("the machine's clock", () => {
  beforeEach(() => void jest.useFakeTimers({ now: 1_000_000 }));
  afterEach(() => void jest.useRealTimers());

  it('rings at its time, however far that is, and not before', () => {
    const rings: number[] = [];
    new SystemClock().at(1_000_000 + 3_600_000, () => rings.push(Date.now()));
    jest.advanceTimersByTime(3_599_999);
    expect(rings).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(rings).toEqual([4_600_000]);
  });

  it('rings soon after it was set forward past that time', () => {
    const rings: number[] = [];
    new SystemClock().at(1_000_000 + 3_600_000, () => rings.push(1));
    jest.setSystemTime(1_000_000 + 3_600_000);
    jest.advanceTimersByTime(10_000);
    expect(rings).toEqual([1]);
  });

  it('does not ring once it was cancelled', () => {
    const rings: number[] = [];
    const alarm = new SystemClock().at(1_020_000, () => rings.push(1));
    jest.advanceTimersByTime(15_000);
    alarm.cancel();
    jest.advanceTimersByTime(15_000);
    expect(rings).toEqual([]);
  });
});
