import { Injectable } from '@nestjs/common';
import {
  currentCall,
  DispatchFunction,
  gather,
  sleep,
  step,
  tailCall,
  TemporaryError,
  Status,
  DispatchError,
} from '../../lib/index.js';

/** Functions of every kind that a scheduler meets. */
@Injectable()
export class Maths {
  /** The statuses that `flaky` fails with before it succeeds. */
  failures: Status[] = [];
  calls = 0;
  /** What time it was to `later` when it was done, in milliseconds since 1970. */
  doneAt = 0;

  @DispatchFunction()
  async double(value: number): Promise<number> {
    this.calls++;
    return value * 2;
  }

  @DispatchFunction()
  async lengthOf(text: string): Promise<number> {
    return text.length;
  }

  @DispatchFunction()
  async sum(values: number[]): Promise<number> {
    const doubled = await gather(values.map((value) => this.double(value)));
    return doubled.reduce((a, b) => a + b, 0);
  }

  @DispatchFunction()
  async flaky(value: number): Promise<number> {
    this.calls++;
    const status = this.failures.shift();
    if (status !== undefined) throw new DispatchError(`failed with ${Status[status]}`, { status });
    return value;
  }

  @DispatchFunction()
  async countDown(from: number): Promise<string> {
    return from === 0 ? 'lift-off' : tailCall(this.countDown, from - 1);
  }

  @DispatchFunction()
  async later(delay: string): Promise<string> {
    await sleep(delay);
    return 'done';
  }

  @DispatchFunction()
  async afterRetries(): Promise<number> {
    return step(() => {
      this.calls++;
      if (this.calls < 4) throw new TemporaryError('not yet');
      return this.calls;
    });
  }

  @DispatchFunction({ runTimeout: '1m' })
  async hang(): Promise<string> {
    this.calls++;
    if (this.calls > 1) return 'at the second attempt';
    const { signal } = currentCall();
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
  }
}
