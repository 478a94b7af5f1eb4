import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema, durationFromMs, StringValueSchema, type Any } from '@bufbuild/protobuf/wkt';
import { crc32 } from 'node:zlib';
import { Status } from '../../../lib/errors/index.js';
import { CallResultSchema, CallSchema, type Call, type CallResult } from '../../../lib/gen/dispatch/sdk/v1/call_pb.js';
import { ErrorSchema } from '../../../lib/gen/dispatch/sdk/v1/error_pb.js';
import { ExitSchema } from '../../../lib/gen/dispatch/sdk/v1/exit_pb.js';
import { RunResponseSchema, type RunRequest } from '../../../lib/gen/dispatch/sdk/v1/function_pb.js';
import { PollSchema } from '../../../lib/gen/dispatch/sdk/v1/poll_pb.js';
import type { Clock, JournalPosition, RunAnswer, RunContext } from '../../../lib/protocol/index.js';
import {
  MemoryStore,
  Scheduler,
  StoreError,
  type CallOutcome,
  type DispatchId,
  type Mutation,
  type NewCall,
  type SchedulerLog,
  type SchedulerOptions,
  type Transport,
} from '../../../lib/scheduler/index.js';
import { ManualClock } from '../../support/manual-clock.js';
import { seeded } from '../../support/seeded.js';

/** The endpoint in the process, and one that speaks nothing but the protocol. */
export const LOCAL = 'http://local';
export const FOREIGN = 'http://foreign';

export interface RunOptions {
  readonly context?: RunContext;
  readonly signal: AbortSignal;
}
export type Script = (request: RunRequest, options: RunOptions) => RunAnswer | Promise<RunAnswer>;

/** A log that a test reads. */
export class Log implements SchedulerLog {
  readonly lines: string[] = [];
  log = (message: string): void => void this.lines.push(`log ${message}`);
  warn = (message: string): void => void this.lines.push(`warn ${message}`);
  error = (message: string): void => void this.lines.push(`error ${message}`);
}

/** A store that shows what was committed. */
class RecordingStore extends MemoryStore {
  constructor(
    beforeCommit: (mutations: readonly Mutation[]) => void | Promise<void>,
    private readonly committed: (mutations: readonly Mutation[]) => void,
  ) {
    super({ beforeCommit });
  }

  override commit(mutations: readonly Mutation[]): Promise<void> {
    return super.commit(mutations).then(() => this.committed(mutations));
  }
}

/** A scheduler on a store in memory, a clock that stands still, and functions that are scripts. */
export class World {
  readonly clock = new ManualClock();
  readonly log = new Log();
  readonly scripts = new Map<string, Script>();
  /** Each request that was sent, as it was sent. */
  readonly requests: RunRequest[] = [];
  readonly contexts: (RunContext | undefined)[] = [];
  readonly commits: (readonly Mutation[])[] = [];
  /** Is asked before each commit; what it throws, the commit fails with. */
  beforeCommit: ((mutations: readonly Mutation[]) => void | Promise<void>) | undefined;
  readonly store = new RecordingStore(
    (mutations) => this.beforeCommit?.(mutations),
    (mutations) => void this.commits.push(mutations),
  );
  readonly transport: Transport = {
    extended: (endpoint) => endpoint === LOCAL,
    run: async (_endpoint, request, options) => {
      this.requests.push(request);
      this.contexts.push(options.context);
      const script = this.scripts.get(request.function);
      if (!script) return failed(Status.NOT_FOUND, `no function ${request.function}`);
      return script(request, options);
    },
  };
  random: () => number = seeded(1);
  scheduler: Scheduler;
  private process = { isAlive: true };

  constructor(private readonly options: SchedulerOptions = {}) {
    this.scheduler = this.create();
  }

  static async started(options: SchedulerOptions = {}): Promise<World> {
    const world = new World(options);
    await world.scheduler.start();
    return world;
  }

  create(options: SchedulerOptions = this.options): Scheduler {
    const { store, transport, log } = this;
    const process = { isAlive: true };
    this.process = process;
    const inProcess = (callback: () => void) => () => {
      if (process.isAlive) callback();
    };
    // A process that was killed hears of nothing any more.
    const clock: Clock = {
      now: () => this.clock.now(),
      at: (time, callback) => this.clock.at(time, inProcess(callback)),
      defer: (callback) => this.clock.defer(inProcess(callback)),
    };
    const inThisProcess: Transport = {
      extended: (endpoint) => transport.extended(endpoint),
      run: (endpoint, request, options) =>
        new Promise((resolve, reject) => {
          const answer = transport.run(endpoint, request, options);
          answer.then(
            (given) => process.isAlive && resolve(given),
            (error: unknown) => process.isAlive && reject(error as Error),
          );
        }),
    };
    return new Scheduler({ store, transport: inThisProcess, clock, random: () => this.random(), log }, options);
  }

  /** Kills the process, and starts the next one on the same store. */
  async crash(options: SchedulerOptions = this.options): Promise<void> {
    this.kill();
    this.scheduler = this.create(options);
    await this.scheduler.start();
  }

  kill(): void {
    this.process.isAlive = false;
    this.store.crash();
  }

  async restart(options: SchedulerOptions = this.options): Promise<void> {
    await this.scheduler.stop({ grace: 0 });
    this.scheduler = this.create(options);
    await this.scheduler.start();
  }

  define(name: string, script: Script): void {
    this.scripts.set(name, script);
  }

  async dispatch(name: string, call: Partial<NewCall> = {}): Promise<DispatchId> {
    const [id] = await this.scheduler.dispatch([{ endpoint: LOCAL, function: name, ...call }]);
    return id ?? '';
  }

  async run(name: string, call: Partial<NewCall> = {}): Promise<CallOutcome> {
    return this.scheduler.wait(await this.dispatch(name, call));
  }

  idle = (): Promise<void> => this.scheduler.idle();

  advance(milliseconds: number): Promise<void> {
    return this.clock.advance(milliseconds, this.idle);
  }

  requestsOf(name: string): RunRequest[] {
    return this.requests.filter((request) => request.function === name);
  }

  contextsOf(name: string): (RunContext | undefined)[] {
    return this.contexts.filter((_, index) => this.requests[index]?.function === name);
  }
}

export function text(value: string): Any {
  const bytes = toBinary(StringValueSchema, create(StringValueSchema, { value }));
  return create(AnySchema, { typeUrl: 'type.googleapis.com/google.protobuf.StringValue', value: bytes });
}

export function read(any: Any | undefined): string | undefined {
  return any && fromBinary(StringValueSchema, any.value).value;
}

export function exit(value = ''): RunAnswer {
  return exitWith({ output: text(value) });
}

export function exitWith(
  result: { output?: Any; error?: { type: string; message: string } },
  status = Status.OK,
): RunAnswer {
  const { output, error } = result;
  const value = create(ExitSchema, {
    result: create(CallResultSchema, { output, error: error && create(ErrorSchema, error) }),
  });
  return { response: create(RunResponseSchema, { status, directive: { case: 'exit', value } }) };
}

export function failed(status: Status, message = 'failed'): RunAnswer {
  return exitWith({ error: { type: 'Error', message } }, status);
}

export function tailCall(call: Parameters<typeof callOf>[0]): RunAnswer {
  const value = create(ExitSchema, { tailCall: callOf(call) });
  return { response: create(RunResponseSchema, { status: Status.OK, directive: { case: 'exit', value } }) };
}

export function callOf(call: {
  id?: number | bigint;
  function: string;
  input?: Any;
  endpoint?: string;
  expiration?: number;
}): Call {
  return create(CallSchema, {
    correlationId: BigInt(call.id ?? 0),
    function: call.function,
    endpoint: call.endpoint ?? '',
    input: call.input,
    expiration: call.expiration === undefined ? undefined : durationFromMs(call.expiration),
  });
}

export interface PollParts {
  readonly state?: string;
  readonly calls?: Call[];
  readonly maxWait?: number;
  readonly minResults?: number;
  readonly maxResults?: number;
  /** Where the journal ends with `state` behind it; absent: the state is whole. */
  readonly appendTo?: JournalPosition;
}

export function poll(parts: PollParts = {}): RunAnswer {
  const state = Buffer.from(parts.state ?? 's');
  const value = create(PollSchema, {
    state: { case: 'coroutineState', value: state },
    calls: parts.calls ?? [],
    maxWait: parts.maxWait === undefined ? undefined : durationFromMs(parts.maxWait),
    minResults: parts.minResults ?? 0,
    maxResults: parts.maxResults ?? 0,
  });
  const response = create(RunResponseSchema, { status: Status.OK, directive: { case: 'poll', value } });
  return parts.appendTo ? { response, appended: after(parts.appendTo, state) } : { response };
}

export function after(position: JournalPosition, bytes: Uint8Array): JournalPosition {
  return { bytes: position.bytes + bytes.length, digest: crc32(bytes, position.digest) };
}

/** The results of a resume; undefined on a first run. */
export function resultsOf(request: RunRequest): CallResult[] | undefined {
  return request.directive.case === 'pollResult' ? request.directive.value.results : undefined;
}

export function inputOf(request: RunRequest): string | undefined {
  return request.directive.case === 'input' ? read(request.directive.value) : undefined;
}

export function stateOf(request: RunRequest): string | undefined {
  if (request.directive.case !== 'pollResult') return undefined;
  const { state } = request.directive.value;
  return state.case === 'coroutineState' ? Buffer.from(state.value).toString() : undefined;
}

/** A function that makes calls once, and exits with their results (or errors), joined, in order of completion. */
export function joins(calls: () => Call[], parts: PollParts = {}): Script {
  return (request, { context }) => {
    const results = resultsOf(request);
    if (results === undefined) return poll({ minResults: 1000, calls: calls(), appendTo: context?.position, ...parts });
    return exit(results.map((result) => read(result.output) ?? result.error?.type).join(','));
  };
}

/** A promise that a test settles. */
export class Deferred<T> {
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

export function storeIsDown(): never {
  throw new StoreError('the disk is full');
}
