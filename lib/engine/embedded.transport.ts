import { AsyncResource } from 'node:async_hooks';
import { LOCAL_ENDPOINT } from '../dispatch.constants.js';
import { failure } from '../endpoint/index.js';
import { Status } from '../errors/index.js';
import type { RunRequest } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { FunctionRunner, RunAnswer } from '../protocol/index.js';
import type { RunOptions, Transport } from '../scheduler/transport.js';

/** Carries runs of the embedded scheduler to where their functions are. */
export class EmbeddedTransport implements Transport {
  /**
   * A run starts in whatever turn of the event loop its time has come, often that of a request which dispatched it. It
   * must not see that request's async context: a retry would not have it.
   */
  private readonly origin = new AsyncResource('EmbeddedTransport', { requireManualDestroy: true });

  constructor(
    private readonly local: FunctionRunner,
    private readonly remote: Transport,
  ) {}

  get adapts(): boolean {
    return this.remote.adapts ?? false;
  }

  extended(endpoint: string): boolean {
    return endpoint === LOCAL_ENDPOINT || this.remote.extended(endpoint);
  }

  run(endpoint: string, request: RunRequest, options: RunOptions): Promise<RunAnswer> {
    switch (endpoint) {
      case LOCAL_ENDPOINT:
        return this.origin.runInAsyncScope(() => this.local.run(request, options));
      case '':
        return Promise.resolve(failure(Status.INVALID_ARGUMENT, `the call of ${request.function} has no endpoint`));
      default:
        return this.origin.runInAsyncScope(() => this.remote.run(endpoint, request, options));
    }
  }
}
