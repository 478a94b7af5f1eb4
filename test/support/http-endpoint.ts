import { create, toBinary } from '@bufbuild/protobuf';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Status } from '../../lib/errors/index.js';
import { RunResponseSchema } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';

const DONE = toBinary(
  RunResponseSchema,
  create(RunResponseSchema, { status: Status.OK, directive: { case: 'exit', value: { result: {} } } }),
);

/** How an endpoint says that it is asked too much. */
export type Refusal = (response: ServerResponse) => void;

export const refuseWithHttp =
  (headers: Record<string, string> = {}): Refusal =>
  (response) =>
    void response.writeHead(429, headers).end();

/** As a function that has thrown a ThrottleError answers. */
export const refuseWithStatus: Refusal = (response) =>
  void response.end(toBinary(RunResponseSchema, create(RunResponseSchema, { status: Status.THROTTLED })));

/** An application's endpoint, on a port of this machine, that counts what it is asked. */
export class HttpEndpoint {
  /** How long a run takes, in milliseconds. */
  latency = 20;
  /** Requests at the same time above which it refuses. */
  capacity = Infinity;
  refuse: Refusal = refuseWithHttp();
  /** Takes requests, and never answers. */
  isSilent = false;
  /** Requests since `forget`. */
  requests = 0;
  refused = 0;
  completed = 0;
  /** Requests in flight, this one included, whenever one came that it took. */
  readonly taken: number[] = [];
  /** Those at most that were in flight, the refused ones included. */
  most = 0;
  /** Connections that were made. */
  connections = 0;
  /** Headers of the request that came last. */
  headers: IncomingMessage['headers'] = {};
  private inFlight = 0;
  private port = 0;
  private server: Server | undefined;
  private readonly sockets = new Set<Socket>();

  static async listening(): Promise<HttpEndpoint> {
    const endpoint = new HttpEndpoint();
    await endpoint.listen();
    return endpoint;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get averageTaken(): number {
    return this.taken.reduce((sum, count) => sum + count, 0) / this.taken.length;
  }

  /** Connections that are open. */
  get open(): number {
    return this.sockets.size;
  }

  /** On the port that it had before, if any. */
  async listen(): Promise<void> {
    const server = createServer((request, response) => this.answer(request, response));
    server.on('connection', (socket) => {
      this.connections += 1;
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
    this.port = (server.address() as AddressInfo).port;
    this.server = server;
  }

  /** As when its process dies: connections break, and new ones are refused. */
  async die(): Promise<void> {
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
    this.inFlight = 0;
  }

  /** Begins to count anew. */
  forget(): void {
    this.requests = 0;
    this.refused = 0;
    this.completed = 0;
    this.taken.length = 0;
    this.most = this.inFlight;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    request.resume();
    this.headers = request.headers;
    this.requests += 1;
    this.inFlight += 1;
    this.most = Math.max(this.most, this.inFlight);
    response.once('close', () => (this.inFlight = Math.max(0, this.inFlight - 1)));
    if (this.isSilent) return;
    if (this.inFlight > this.capacity) {
      this.refused += 1;
      return this.refuse(response);
    }
    this.taken.push(this.inFlight);
    setTimeout(() => {
      this.completed += 1;
      response.end(DONE);
    }, this.latency);
  }
}
