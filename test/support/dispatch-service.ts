import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Call } from '../../lib/proto.js';
import {
  CallSchema,
  DispatchRequestSchema,
  DispatchResponseSchema,
  RunRequestSchema,
  RunResponseSchema,
  type RunResponse,
} from '../../lib/proto.js';

const RUN = '/dispatch.sdk.v1.FunctionService/Run';

/**
 * A scheduler on a real port with the least that a client of one can notice: it takes calls, runs each to its end over
 * HTTP, its children first, and answers 401 for a wrong key. `fail` makes it answer something else.
 */
export class TinyDispatchService {
  readonly requests: { headers: IncomingHttpHeaders; calls: Call[] }[] = [];
  /** HTTP statuses to answer the next requests with. */
  readonly failures: { status: number; body?: string }[] = [];
  private readonly server: Server;
  private readonly running = new Set<Promise<unknown>>();
  private count = 0;

  constructor(private readonly apiKey: string | undefined) {
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const failure = this.failures.shift();
        if (failure !== undefined) return void response.writeHead(failure.status).end(failure.body);
        if (this.apiKey !== undefined && request.headers.authorization !== `Bearer ${this.apiKey}`) {
          return void response.writeHead(401).end('{"code":"unauthenticated","message":"wrong key"}');
        }
        if (request.url !== '/dispatch.sdk.v1.DispatchService/Dispatch') {
          return void response.writeHead(404).end('{"code":"not_found","message":"there is no such path"}');
        }
        const { calls } = fromBinary(DispatchRequestSchema, Buffer.concat(chunks));
        this.requests.push({ headers: request.headers, calls });
        const ids = calls.map(() => (++this.count).toString(16).padStart(32, '0'));
        response.end(toBinary(DispatchResponseSchema, create(DispatchResponseSchema, { dispatchIds: ids })));
        calls.forEach((call, index) => this.begin(call, ids[index] ?? ''));
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.running);
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private begin(call: Call, id: string): void {
    if (!call.endpoint.startsWith('http')) return;
    const run = this.runToEnd(call, id).catch(() => undefined);
    this.running.add(run);
    void run.finally(() => this.running.delete(run));
  }

  private async runToEnd(call: Call, id: string): Promise<RunResponse> {
    let directive: unknown = { case: 'input', value: call.input };
    for (;;) {
      const response = await this.run(call, id, directive);
      if (response.directive.case !== 'poll') return response;
      const { calls, state } = response.directive.value;
      const results = await Promise.all(
        calls.map(async (child, index) => {
          const named = create(CallSchema, { ...child, endpoint: child.endpoint || call.endpoint });
          const { directive: end } = await this.runToEnd(
            named,
            `${id.slice(0, 20)}${index.toString(16).padStart(12, 'c')}`,
          );
          const result = end.case === 'exit' ? end.value.result : undefined;
          return { output: result?.output, error: result?.error, correlationId: child.correlationId };
        }),
      );
      directive = { case: 'pollResult', value: { state, results } };
    }
  }

  private async run(call: Call, id: string, directive: unknown): Promise<RunResponse> {
    const init = { function: call.function, dispatchId: id, rootDispatchId: id, directive };
    const body = toBinary(
      RunRequestSchema,
      create(RunRequestSchema, init as Parameters<typeof create<typeof RunRequestSchema>>[1]),
    );
    const headers = { 'content-type': 'application/proto' };
    const response = await fetch(call.endpoint + RUN, { method: 'POST', headers, body });
    return fromBinary(RunResponseSchema, new Uint8Array(await response.arrayBuffer()));
  }
}
