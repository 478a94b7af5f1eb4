import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { Status } from '../../lib/errors/index.js';
import type { Call, CallResult } from '../../lib/gen/dispatch/sdk/v1/call_pb.js';
import { CallSchema } from '../../lib/gen/dispatch/sdk/v1/call_pb.js';
import { RunRequestSchema, RunResponseSchema, type RunRequest } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';
import { pack, unpack } from '../../lib/values/index.js';
import { silence } from './life.js';
import type { Endpoint, Reply } from './network.js';
import { settled } from './oracle.js';
import type { Program, Programs, ScriptedEnd } from './programs.js';
import type { Trace } from './trace.js';

/** What a call of it knows, as it is in the state: the program, and results by the number of their call. */
interface Memory {
  readonly program: number;
  readonly got: Readonly<Record<string, unknown>>;
}

/** An application that hangs, throttles, lies and talks nonsense, and that the scheduler has to live with. */
export class ScriptedEndpoint implements Endpoint {
  private readonly runs = new Map<string, number>();

  constructor(
    private readonly programs: Programs,
    private readonly trace: Trace,
  ) {}

  async serve(bytes: Uint8Array): Promise<Reply> {
    return { bytes: await this.respond(bytes) };
  }

  private async respond(bytes: Uint8Array): Promise<Uint8Array> {
    const request = fromBinary(RunRequestSchema, bytes);
    const memory = this.remember(request);
    const program = this.programs.get(memory.program);
    if (program === undefined) return answer({ status: Status.INVALID_ARGUMENT });
    const run = this.runs.get(request.dispatchId) ?? 0;
    this.runs.set(request.dispatchId, run + 1);
    switch (program.misbehaves[run]) {
      case 'hang':
        return silence();
      case 'throttle':
        return answer({ status: Status.THROTTLED });
      case 'fail':
        return answer({ status: Status.TEMPORARY_ERROR });
      case 'garbage':
        throw new Error('the connection broke in the middle of the answer');
      default:
        return this.end(program, memory);
    }
  }

  private remember(request: RunRequest): Memory {
    if (request.directive.case !== 'pollResult') return { program: Number(unpack(request.directive.value)), got: {} };
    const { state, results } = request.directive.value;
    const text = state.case === 'coroutineState' ? Buffer.from(state.value).toString() : '{}';
    const { program, got } = JSON.parse(text) as Memory;
    const all = { ...got };
    for (const result of results) this.receive(request, result, all);
    return { program, got: all };
  }

  private receive(
    { dispatchId }: RunRequest,
    { correlationId, output, error, dispatchId: id }: CallResult,
    got: Record<string, unknown>,
  ): void {
    const number = String(correlationId);
    this.trace.check(!(number in got), 'a function was given a result again that it had taken in', dispatchId, id);
    got[number] = settled(error === undefined ? { value: unpack(output) } : { error: error.message });
  }

  private end(program: Program, memory: Memory): Uint8Array {
    const { script } = program;
    switch (script?.kind) {
      case 'calls':
        return this.callAll(script, memory);
      case 'no directive':
        return answer({ status: Status.OK });
      case 'no status':
        return answer({ status: Status.UNSPECIFIED });
      case 'idle poll':
        return poll(memory, [], 0);
      case 'impossible call':
        return poll(memory, [create(CallSchema, { correlationId: 1n, function: 'no function at all' })], 0);
      case 'value':
      case undefined:
        return exit(`scripted ${program.id}`);
    }
  }

  private callAll({ programs, minResults }: Extract<ScriptedEnd, { kind: 'calls' }>, memory: Memory): Uint8Array {
    const results = programs.map((_, index) => memory.got[String(index + 1)]);
    if (results.every((result) => result !== undefined)) return exit(results);
    const calls = programs.map((id, index) => this.call(id, index + 1));
    const [first] = calls;
    return poll(memory, first ? [...calls, first] : calls, minResults);
  }

  private call(program: number, number: number): Call {
    const { home, function: name } = this.programs.get(program) ?? { home: '', function: '' };
    return create(CallSchema, {
      correlationId: BigInt(number),
      endpoint: home,
      function: name,
      input: pack(program, 'input'),
    });
  }
}

export function answer(init: MessageInitShape<typeof RunResponseSchema>): Uint8Array {
  return toBinary(RunResponseSchema, create(RunResponseSchema, init));
}

export function exit(value: unknown): Uint8Array {
  const result = { output: pack(value, 'result') };
  return answer({ status: Status.OK, directive: { case: 'exit', value: { result } } });
}

function poll(memory: Memory, calls: Call[], minResults: number): Uint8Array {
  const state = { case: 'coroutineState' as const, value: Buffer.from(JSON.stringify(memory)) };
  return answer({ status: Status.OK, directive: { case: 'poll', value: { state, calls, minResults } } });
}
