import { create } from '@bufbuild/protobuf';
import { failure } from '../../lib/endpoint/index.js';
import { Status } from '../../lib/errors/index.js';
import { RunResponseSchema, type RunRequest } from '../../lib/proto.js';
import type { RunAnswer } from '../../lib/protocol/index.js';
import type { Transport } from '../../lib/scheduler/index.js';

/** `parent` calls the functions it is told to, waits for all, and ends; all others end at once. */
export class Polls implements Transport {
  /** Statuses to answer the next runs with. */
  readonly failures: Status[] = [];

  constructor(private readonly children: Readonly<Record<string, number>>) {}

  extended(): boolean {
    return false;
  }

  async run(_endpoint: string, request: RunRequest): Promise<RunAnswer> {
    const status = this.failures.shift();
    if (status !== undefined) return failure(status, 'as asked');
    if (request.function !== 'parent' || request.directive.case === 'pollResult') {
      return {
        response: create(RunResponseSchema, { status: Status.OK, directive: { case: 'exit', value: { result: {} } } }),
      };
    }
    const calls = Object.entries(this.children).flatMap(([name, count]) =>
      Array.from({ length: count }, (_, index) => ({ function: name, correlationId: BigInt(index + 1) })),
    );
    const value = { calls, minResults: calls.length, maxResults: calls.length };
    return { response: create(RunResponseSchema, { status: Status.OK, directive: { case: 'poll', value } }) };
  }
}
