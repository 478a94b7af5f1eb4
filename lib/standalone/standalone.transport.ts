import { failure, type HttpTransport } from '../endpoint/index.js';
import { Status } from '../errors/index.js';
import type { RunRequest } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { RunAnswer } from '../protocol/index.js';
import type { RunOptions, Transport } from '../scheduler/index.js';
import { isBridge } from './bridge.address.js';
import type { Bridge } from './bridge.js';
import type { SchedulerMetrics } from './scheduler.metrics.js';

/** Carries runs to where they belong: over HTTP, or to who fetches them. */
export class StandaloneTransport implements Transport {
  readonly adapts = true;

  constructor(
    private readonly http: HttpTransport,
    private readonly bridge: Bridge,
    private readonly metrics: SchedulerMetrics,
  ) {}

  extended(): boolean {
    return false;
  }

  async run(endpoint: string, request: RunRequest, options: RunOptions): Promise<RunAnswer> {
    const start = performance.now();
    const answer = await this.carry(endpoint, request, options);
    this.metrics.ran(answer.response.status, (performance.now() - start) / 1000);
    return answer;
  }

  private async carry(endpoint: string, request: RunRequest, options: RunOptions): Promise<RunAnswer> {
    if (isBridge(endpoint)) return this.bridge.run(endpoint, request, options);
    if (/^https?:/i.test(endpoint)) return this.http.run(endpoint, request, options);
    return failure(
      Status.INVALID_ARGUMENT,
      `the call of ${request.function} has the endpoint '${endpoint}', which cannot be called: give one of http://, https:// or bridge://`,
    );
  }
}
