import { create } from '@bufbuild/protobuf';
import { Status } from '../../lib/errors/index.js';
import { RunResponseSchema } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';
import type { Clock, RunAnswer } from '../../lib/protocol/index.js';

export interface EndpointBehaviour {
  /** How long a run takes, in milliseconds. */
  readonly latency: number;
  /** Runs at the same time above which it answers THROTTLED, at once. Default: any number. */
  readonly capacity?: number;
  /** How long it asks to be left alone then, in milliseconds. Default: it does not ask. */
  readonly retryAfter?: number;
}

/** An endpoint elsewhere, as a scheduler sees it: a model on a clock, that counts what it is asked. */
export class EndpointModel {
  /** Requests are refused at once. */
  isDown = false;
  /** Requests are never answered. */
  isSilent = false;
  capacity: number;
  /** When requests came. */
  readonly requests: number[] = [];
  throttled = 0;
  completed = 0;
  private running = 0;
  private busyTime = 0;
  private lastChange: number;
  private since: number;

  constructor(
    private readonly clock: Clock,
    private readonly behaviour: EndpointBehaviour,
  ) {
    this.capacity = behaviour.capacity ?? Infinity;
    this.lastChange = clock.now();
    this.since = clock.now();
  }

  /** Runs in flight, on average since `forget`. */
  get averageConcurrency(): number {
    this.change(0);
    return this.busyTime / Math.max(1, this.clock.now() - this.since);
  }

  /** Begins to count anew. */
  forget(): void {
    this.change(0);
    this.busyTime = 0;
    this.since = this.clock.now();
    this.requests.length = 0;
    this.throttled = 0;
    this.completed = 0;
  }

  run = async (): Promise<RunAnswer> => {
    this.requests.push(this.clock.now());
    if (this.isSilent) return new Promise<RunAnswer>(() => undefined);
    if (this.isDown) return this.after(1, { response: responseOf(Status.TCP_ERROR) });
    if (this.running >= this.capacity) {
      this.throttled += 1;
      const { retryAfter } = this.behaviour;
      return this.after(1, { response: responseOf(Status.THROTTLED), ...(retryAfter && { retryAfter }) });
    }
    this.change(1);
    const answer = await this.after(this.behaviour.latency, { response: responseOf(Status.OK), ran: true });
    this.change(-1);
    this.completed += 1;
    return answer;
  };

  private after(milliseconds: number, answer: RunAnswer): Promise<RunAnswer> {
    return new Promise((resolve) => this.clock.at(this.clock.now() + milliseconds, () => resolve(answer)));
  }

  private change(by: number): void {
    const now = this.clock.now();
    this.busyTime += this.running * (now - this.lastChange);
    this.lastChange = now;
    this.running += by;
  }
}

function responseOf(status: Status) {
  return create(RunResponseSchema, { status, directive: { case: 'exit', value: { result: {} } } });
}
