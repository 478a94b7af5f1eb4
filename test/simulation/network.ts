import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { failure } from '../../lib/endpoint/index.js';
import { Status } from '../../lib/errors/index.js';
import { RunRequestSchema, RunResponseSchema, type RunRequest } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';
import type { RunAnswer } from '../../lib/protocol/index.js';
import type { Transport } from '../../lib/scheduler/index.js';
import { silence, type Life } from './life.js';
import type { Surroundings } from './simulated-store.js';

export interface Reply {
  readonly bytes: Uint8Array;
  /** It asks to be left alone for so many milliseconds. */
  readonly retryAfter?: number | undefined;
}

/** An application that is somewhere else: bytes in, bytes out. */
export interface Endpoint {
  /** Rejects when the connection is lost. */
  serve(request: Uint8Array, incarnation: number): Promise<Reply>;
}

/** A process's way to other applications: messages take time, are lost, come twice, overtake each other, come too late. */
export class Network implements Transport {
  constructor(
    private readonly endpoints: ReadonlyMap<string, Endpoint>,
    private readonly world: Surroundings,
    private readonly life: Life,
    private readonly effect: (what: string) => void,
    /** The incarnation that a request is of: nobody is told, but who checks has to know. */
    private readonly incarnationOf: (request: RunRequest) => number,
  ) {}

  extended(): boolean {
    return false;
  }

  async run(address: string, request: RunRequest, { signal }: { signal: AbortSignal }): Promise<RunAnswer> {
    const endpoint = this.endpoints.get(address);
    if (endpoint === undefined) return failure(Status.DNS_ERROR, `there is no ${address}`);
    const bytes = toBinary(RunRequestSchema, request);
    const incarnation = this.incarnationOf(request);
    return Promise.race([this.exchange(endpoint, bytes, incarnation), this.aborted(signal)]);
  }

  private async exchange(endpoint: Endpoint, bytes: Uint8Array, incarnation: number): Promise<RunAnswer> {
    const { faults } = this.world;
    await this.travel();
    if (this.isUnlucky(faults.requestLost)) return this.lose();
    if (this.isUnlucky(faults.requestTwice)) this.repeat(endpoint, bytes, incarnation);
    let reply: Reply;
    try {
      reply = await endpoint.serve(bytes, incarnation);
    } catch {
      return this.reset();
    }
    await this.travel();
    if (this.isUnlucky(faults.answerLost)) return this.lose();
    this.effect('answer');
    if (!this.life.isAlive) return silence();
    try {
      const { retryAfter } = reply;
      const response = fromBinary(RunResponseSchema, reply.bytes);
      return retryAfter === undefined ? { response } : { response, retryAfter };
    } catch {
      return failure(Status.INVALID_RESPONSE, 'the answer is no RunResponse');
    }
  }

  /** The same request again, whose answer nobody waits for. */
  private repeat(endpoint: Endpoint, bytes: Uint8Array, incarnation: number): void {
    this.world.queue.schedule(this.delay(), () => void endpoint.serve(bytes, incarnation).catch(() => undefined));
  }

  /** Nothing comes back; or one hears that nothing will. */
  private async lose(): Promise<RunAnswer> {
    if (this.world.chance.happens(0.5)) return silence();
    return this.reset();
  }

  private async reset(): Promise<RunAnswer> {
    await this.travel();
    return failure(this.world.chance.pick([Status.TCP_ERROR, Status.TIMEOUT, Status.HTTP_ERROR]), 'connection reset');
  }

  private aborted(signal: AbortSignal): Promise<RunAnswer> {
    return new Promise((resolve) => {
      const end = (): void => resolve(failure(Status.TIMEOUT, 'the run was given up'));
      if (signal.aborted) end();
      else signal.addEventListener('abort', end, { once: true });
    });
  }

  private travel(): Promise<void> {
    return new Promise((resolve) => {
      this.world.queue.schedule(this.delay(), () => {
        if (this.life.isAlive) resolve();
      });
    });
  }

  private delay(): number {
    const { chance, faults } = this.world;
    return this.isUnlucky(faults.late) ? chance.between(100, 30_000) : chance.between(0.1, 20);
  }

  private isUnlucky(probability: number): boolean {
    return this.world.isChaotic && this.world.chance.happens(probability);
  }
}
