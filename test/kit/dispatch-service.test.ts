import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  ConfigurationError,
  DispatchModule,
  InvalidArgumentError,
  Status,
  TCPError,
  UnauthenticatedError,
} from '../../lib/index.js';
import { RunResponseSchema, type RunRequestSchema, type RunRequest, type RunResponse } from '../../lib/proto.js';
import {
  DispatchService,
  EndpointClient,
  pack,
  TestTime,
  unpack,
  type DispatchServiceOptions,
} from '../../lib/testing/index.js';
import { Maths } from './functions.js';

const apiKey = 'the key';
const context = { headers: { authorization: `Bearer ${apiKey}` } };
const endpoint = 'http://app.invalid';
const callOf = (name: string, input?: unknown) => ({ endpoint, function: name, input: pack(input) });

type Answer = MessageInitShape<typeof RunResponseSchema>;

/** An endpoint that answers what it is told to, and notes what it was asked. */
class ScriptedEndpoint {
  readonly requests: RunRequest[] = [];
  constructor(private readonly answers: (Answer | Error | ((request: RunRequest) => Answer))[]) {}

  async run(request: MessageInitShape<typeof RunRequestSchema>): Promise<RunResponse> {
    this.requests.push(request as RunRequest);
    const answer = this.answers.shift();
    if (answer === undefined) throw new Error('asked once too often');
    if (answer instanceof Error) throw answer;
    return create(RunResponseSchema, typeof answer === 'function' ? answer(request as RunRequest) : answer);
  }
}

const exit = (value: unknown): Answer => ({
  status: Status.OK,
  directive: { case: 'exit', value: { result: { output: pack(value) } } },
});
const failed = (status: Status): Answer => ({
  status,
  directive: { case: 'exit', value: { result: { error: { type: 'SomeError', message: 'because' } } } },
});
const poll = (value: NonNullable<Extract<Answer['directive'], { case: 'poll' }>>['value']): Answer => ({
  status: Status.OK,
  directive: { case: 'poll', value },
});
const state = (text: string) => ({ case: 'coroutineState' as const, value: new TextEncoder().encode(text) });

/** The results that a resume carries: their correlation ids, and outputs or the types of errors. */
const resultsOf = ({ directive }: RunRequest): unknown[] =>
  directive.case === 'pollResult'
    ? directive.value.results.map(({ correlationId, output, error }) => [
        Number(correlationId),
        error?.type ?? unpack(output),
      ])
    : [directive.case];

const outputOf = ({ directive }: RunResponse): unknown =>
  unpack(directive.case === 'exit' ? directive.value.result?.output : undefined);

function script(answers: ConstructorParameters<typeof ScriptedEndpoint>[0], options: DispatchServiceOptions = {}) {
  const scripted = new ScriptedEndpoint(answers);
  const service = new DispatchService(scripted, { apiKey, collectRoundtrips: true, ...options });
  return { scripted, service, functions: () => service.queue.map(({ request }) => request.function) };
}

describe('dispatching', () => {
  it('takes the key from its variable', async () => {
    process.env.DISPATCH_API_KEY = 'from the environment';
    try {
      const service = new DispatchService(new ScriptedEndpoint([]));
      const headers = { Authorization: 'Bearer from the environment' };
      await expect(service.dispatch({ calls: [callOf('f')] }, { headers })).resolves.toMatchObject({
        dispatchIds: [expect.stringMatching(/^[0-9a-f]{32}$/)],
      });
    } finally {
      delete process.env.DISPATCH_API_KEY;
    }
  });

  it('is not there without a key', () => {
    expect(() => new DispatchService(new ScriptedEndpoint([]))).toThrow(ConfigurationError);
    expect(() => new DispatchService(new ScriptedEndpoint([]), { apiKey: '' })).toThrow('DISPATCH_API_KEY');
  });

  it.each([{}, { authorization: 'Bearer another' }, { authorization: apiKey }, { authorization: '' }])(
    'refuses %p, and queues nothing',
    async (headers) => {
      const { service } = script([]);
      await expect(service.dispatch({ calls: [callOf('f')] }, { headers })).rejects.toThrow(UnauthenticatedError);
      expect(service.queue).toEqual([]);
    },
  );

  it.each([
    [{ endpoint, function: '' }, 'a call names no function'],
    [{ endpoint, function: 'no spaces' }, "the function name 'no spaces'"],
    [{ endpoint: 'ftp://a', function: 'f' }, "the endpoint 'ftp://a' of f"],
    [{ function: 'f' }, "the endpoint '' of f"],
  ])('refuses all calls for %p', async (call, problem) => {
    const { service } = script([]);
    const dispatched = service.dispatch({ calls: [callOf('good'), call] }, context);
    await expect(dispatched).rejects.toThrow(InvalidArgumentError);
    await expect(dispatched).rejects.toThrow(problem);
    expect(service.queue).toEqual([]);
  });

  it('only queues, and runs each call once', async () => {
    const { service, scripted } = script([exit(1), exit(2)]);
    const { dispatchIds } = await service.dispatch({ calls: [callOf('f', 'a'), callOf('g', 'b')] }, context);
    expect(scripted.requests).toEqual([]);
    expect(service.queue.map(({ dispatchId, request }) => [dispatchId, request.function])).toEqual([
      [dispatchIds[0], 'f'],
      [dispatchIds[1], 'g'],
    ]);
    await service.dispatchCalls();
    expect(service.queue).toEqual([]);
    expect(
      scripted.requests.map(({ dispatchId, rootDispatchId, parentDispatchId }) => [
        dispatchId,
        rootDispatchId,
        parentDispatchId,
      ]),
    ).toEqual(dispatchIds.map((id) => [id, id, '']));
    expect(dispatchIds.map((id) => service.roundtrips.get(id)?.map(([, response]) => outputOf(response)))).toEqual([
      [1],
      [2],
    ]);
    await service.dispatchCalls();
    expect(scripted.requests).toHaveLength(2);
  });

  it('collects nothing unless it is told to', async () => {
    const { service } = script([exit(1)], { collectRoundtrips: false });
    await service.dispatch({ calls: [callOf('f')] }, context);
    await service.dispatchCalls();
    expect(service.roundtrips.size).toBe(0);
  });
});

describe('failures', () => {
  const failures = Object.values(Status).filter(
    (status): status is Status => typeof status === 'number' && status !== Status.OK && status !== Status.UNSPECIFIED,
  );

  it.each(failures)('runs a call again after status %p where that is configured, and only there', async (status) => {
    const retried = script([failed(status), exit('ok')], { retryOnStatus: [status] });
    const { dispatchIds } = await retried.service.dispatch({ calls: [callOf('f', 'in')] }, context);
    await retried.service.dispatchCalls();
    expect(retried.functions()).toEqual(['f']);
    await retried.service.dispatchCalls();
    expect(retried.functions()).toEqual([]);
    expect(retried.service.roundtrips.get(dispatchIds[0] ?? '')).toHaveLength(2);
    expect(retried.scripted.requests[1]).toEqual(retried.scripted.requests[0]);

    const final = script([failed(status)], { retryOnStatus: failures.filter((other) => other !== status) });
    await final.service.dispatch({ calls: [callOf('f')] }, context);
    await final.service.dispatchCalls();
    expect(final.functions()).toEqual([]);
  });

  it('retries what passes by default', async () => {
    const retried: Status[] = [];
    for (const status of failures) {
      const { service, functions } = script([failed(status)]);
      await service.dispatch({ calls: [callOf('f')] }, context);
      await service.dispatchCalls();
      if (functions().length > 0) retried.push(status);
    }
    const { THROTTLED, TIMEOUT, TEMPORARY_ERROR, DNS_ERROR, TCP_ERROR, TLS_ERROR, HTTP_ERROR, INCOMPATIBLE_STATE } =
      Status;
    expect(retried.sort()).toEqual(
      [THROTTLED, TIMEOUT, TEMPORARY_ERROR, DNS_ERROR, TCP_ERROR, TLS_ERROR, HTTP_ERROR, INCOMPATIBLE_STATE].sort(),
    );
  });

  it.each([[Status.OK], [Status.UNSPECIFIED], [99 as Status]])('refuses to retry on %p', (status) => {
    expect(() => script([], { retryOnStatus: [status] })).toThrow(ConfigurationError);
  });

  it('counts an endpoint that cannot be reached as its status', async () => {
    const { service } = script([new TCPError('refused'), exit(1)]);
    const { dispatchIds } = await service.dispatch({ calls: [callOf('f')] }, context);
    await service.dispatchCalls();
    await service.dispatchCalls();
    const trips = service.roundtrips.get(dispatchIds[0] ?? '') ?? [];
    expect(trips.map(([, { status }]) => status)).toEqual([Status.TCP_ERROR, Status.OK]);
  });

  it('begins again from the first input after INCOMPATIBLE_STATE, and drops what was called', async () => {
    const { service, scripted, functions } = script([
      poll({ state: state('one'), calls: [{ ...callOf('child'), correlationId: 1n }], maxResults: 1, minResults: 1 }),
      exit('from the child'),
      poll({ state: state('two'), calls: [{ ...callOf('late'), correlationId: 2n }] }),
      failed(Status.PERMANENT_ERROR),
      failed(Status.INCOMPATIBLE_STATE),
      exit('at last'),
    ]);
    await service.dispatch({ calls: [callOf('parent', 'first input')] }, context);
    for (let pass = 0; pass < 5; pass++) await service.dispatchCalls();
    expect(functions()).toEqual(['parent']);
    await service.dispatchCalls();
    expect(functions()).toEqual([]);
    const last = scripted.requests.at(-1);
    expect(last?.directive.case === 'input' && unpack(last.directive.value)).toBe('first input');
  });
});

describe('polls', () => {
  const child = (id: bigint) => ({ ...callOf('child', Number(id)), correlationId: id });

  it('runs children in the next pass, and resumes in the one after that', async () => {
    const { service, scripted, functions } = script([
      poll({ state: state('kept'), calls: [child(7n), child(8n)], minResults: 2, maxResults: 10 }),
      exit('seven'),
      failed(Status.NOT_FOUND),
      exit('end'),
    ]);
    const { dispatchIds } = await service.dispatch({ calls: [callOf('parent')] }, context);
    await service.dispatchCalls();
    expect(functions()).toEqual(['child', 'child']);
    await service.dispatchCalls();
    expect(functions()).toEqual(['parent']);
    await service.dispatchCalls();
    expect(functions()).toEqual([]);
    const [, first, , resume] = scripted.requests;
    expect(first).toMatchObject({ parentDispatchId: dispatchIds[0], rootDispatchId: dispatchIds[0] });
    expect(resume?.directive.case === 'pollResult' && resume.directive.value.state).toEqual(state('kept'));
    expect(resume && resultsOf(resume)).toEqual([
      [7, 'seven'],
      [8, 'SomeError'],
    ]);
  });

  it('resumes with as many results as asked for, and keeps the rest for the next poll', async () => {
    const { service, scripted } = script([
      poll({ state: state('1'), calls: [child(1n), child(2n), child(3n)], minResults: 3, maxResults: 2 }),
      exit('a'),
      exit('b'),
      exit('c'),
      poll({ state: state('2'), minResults: 5 }),
      exit('end'),
    ]);
    await service.dispatch({ calls: [callOf('parent')] }, context);
    for (let pass = 0; pass < 4; pass++) await service.dispatchCalls();
    expect(scripted.requests.map(resultsOf)).toEqual([
      ['input'],
      ['input'],
      ['input'],
      ['input'],
      [
        [1, 'a'],
        [2, 'b'],
      ],
      [[3, 'c']],
    ]);
    expect(service.queue).toEqual([]);
  });

  it('carries results again when the resume failed', async () => {
    const { service, scripted } = script([
      poll({ state: state('1'), calls: [child(1n)] }),
      exit('a'),
      failed(Status.TEMPORARY_ERROR),
      exit('end'),
    ]);
    await service.dispatch({ calls: [callOf('parent')] }, context);
    for (let pass = 0; pass < 4; pass++) await service.dispatchCalls();
    expect(scripted.requests.slice(2).map(resultsOf)).toEqual([[[1, 'a']], [[1, 'a']]]);
  });

  it('resumes a call that waits for results when its time has come first', async () => {
    let now = 1_000_000;
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => now);
    try {
      const { service, scripted, functions } = script([
        poll({ state: state('1'), calls: [child(1n)], maxWait: { seconds: 60n } }),
        failed(Status.TEMPORARY_ERROR),
        failed(Status.TEMPORARY_ERROR),
        exit('end'),
      ]);
      await service.dispatch({ calls: [callOf('parent')] }, context);
      await service.dispatchCalls();
      await service.dispatchCalls();
      expect(functions()).toEqual(['child']);
      now += 60_000;
      expect(functions()).toEqual(['parent', 'child']);
      scripted.requests.length = 0;
      await service.dispatchCalls();
      expect(scripted.requests.map(resultsOf)).toEqual([[], ['input']]);
    } finally {
      clock.mockRestore();
    }
  });

  it('leaves a timer in the queue until its time', async () => {
    let now = 1_000_000;
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => now);
    try {
      const { service, scripted } = script([poll({ state: state('1'), maxWait: { seconds: 60n } }), exit('end')]);
      await service.dispatch({ calls: [callOf('parent')] }, context);
      await service.dispatchCalls();
      expect(service.queue).toMatchObject([{ dueAt: 1_060_000 }]);
      now += 59_999;
      await service.dispatchCalls();
      expect(scripted.requests).toHaveLength(1);
      now += 1;
      await service.dispatchCalls();
      expect(service.queue).toEqual([]);
      expect(scripted.requests.map(resultsOf)).toEqual([['input'], []]);
    } finally {
      clock.mockRestore();
    }
  });

  it('ends calls that have expired, tells their callers, and runs nothing of theirs any more', async () => {
    let now = Date.UTC(2030, 0, 1);
    const { service, scripted } = script(
      [
        poll({ state: state('1'), calls: [{ ...callOf('slow'), correlationId: 1n, expiration: { seconds: 60n } }] }),
        poll({ state: state('2'), calls: [{ ...callOf('deep'), correlationId: 2n }] }),
        exit('end'),
      ],
      { now: () => now },
    );
    await service.dispatch({ calls: [callOf('f')] }, context);
    await service.dispatchCalls();
    now += 59_999;
    await service.dispatchCalls();
    expect(service.queue.map(({ request }) => request.function)).toEqual(['deep']);
    now += 1;
    await service.dispatchCalls();
    expect(scripted.requests.map(({ function: name }) => name)).toEqual(['f', 'slow', 'f']);
    expect(scripted.requests.map(resultsOf)).toEqual([['input'], ['input'], [[1, 'TimeoutError']]]);
    expect(service.queue).toEqual([]);
  });

  it('passes by the time that it is given', async () => {
    let now = Date.UTC(2030, 0, 1);
    const { service, scripted } = script(
      [poll({ state: state('1'), maxWait: { seconds: 3_600n } }), exit('end'), exit('another')],
      { now: () => now },
    );
    await service.dispatch({ calls: [callOf('f')] }, context);
    await service.dispatchCalls();
    expect(service.queue.map(({ dueAt }) => dueAt)).toEqual([now + 3_600_000]);
    await service.dispatchCalls();
    expect(scripted.requests).toHaveLength(1);
    service.start();
    now += 3_600_000;
    while (scripted.requests.length < 2) await new Promise((resolve) => setImmediate(resolve));
    await service.stop();
    expect(service.queue).toEqual([]);
  });

  it.each([
    ['a poll that waits for nothing', poll({ state: state('1') })],
    ['a call without a function', poll({ state: state('1'), calls: [{ endpoint }] })],
    ['an answer with nothing in it', { status: Status.OK }],
  ])('gives the caller INVALID_RESPONSE for %s', async (_what, answer) => {
    const { service, scripted } = script([poll({ state: state('1'), calls: [child(1n)] }), answer, exit('end')]);
    await service.dispatch({ calls: [callOf('parent')] }, context);
    for (let pass = 0; pass < 3; pass++) await service.dispatchCalls();
    expect(scripted.requests.slice(2).map(resultsOf)).toEqual([[[1, 'InvalidResponseError']]]);
  });

  it('replaces a call by its tail call, under the same id', async () => {
    const { service, scripted, functions } = script([
      poll({ state: state('1'), calls: [child(5n)] }),
      { status: Status.OK, directive: { case: 'exit', value: { tailCall: { function: 'other', input: pack('in') } } } },
      exit('instead'),
      exit('end'),
    ]);
    await service.dispatch({ calls: [callOf('parent')] }, context);
    await service.dispatchCalls();
    await service.dispatchCalls();
    expect(functions()).toEqual(['other']);
    await service.dispatchCalls();
    await service.dispatchCalls();
    expect(scripted.requests[2]).toMatchObject({ function: 'other', dispatchId: scripted.requests[1]?.dispatchId });
    expect(scripted.requests.slice(3).map(resultsOf)).toEqual([[[5, 'instead']]]);
  });

  it('runs nothing that an ended call has left behind', async () => {
    const { service, scripted } = script([
      poll({ state: state('1'), calls: [child(1n), child(2n)] }),
      exit('first'),
      failed(Status.TEMPORARY_ERROR),
      exit('end'),
      exit('too late'),
    ]);
    await service.dispatch({ calls: [callOf('parent')] }, context);
    await service.dispatchCalls();
    await service.dispatchCalls();
    expect(service.queue.map(({ request }) => request.function)).toEqual(['parent', 'child']);
    await service.dispatchCalls();
    expect(service.queue).toEqual([]);
    expect(scripted.requests).toHaveLength(5);
  });
});

describe('a started service', () => {
  beforeEach(() => {
    for (const level of ['log', 'warn', 'error'] as const) {
      jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
    }
  });
  afterEach(() => void jest.restoreAllMocks());

  async function withMaths(use: (service: DispatchService, maths: Maths) => Promise<void>): Promise<void> {
    const builder = Test.createTestingModule({
      imports: [DispatchModule.forRoot({ endpoint: { open: true }, scheduler: false, endpointUrl: endpoint })],
      providers: [Maths],
    });
    const app = (await builder.compile()).createNestApplication();
    const service = new DispatchService(EndpointClient.fromApp(app), { apiKey, collectRoundtrips: true });
    service.start();
    try {
      await use(service, app.get(Maths));
    } finally {
      await service.stop();
      await app.close();
    }
  }

  /** The last answer of a call, once it is an exit without a tail call. */
  async function ended(service: DispatchService, id: string): Promise<RunResponse> {
    for (;;) {
      const response = service.roundtrips.get(id)?.at(-1)?.[1];
      const { directive } = response ?? {};
      if (
        response !== undefined &&
        service.queue.length === 0 &&
        directive?.case === 'exit' &&
        !directive.value.tailCall
      ) {
        return response;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  it('runs functions that call others, fail, sleep and tail call', async () => {
    await withMaths(async (service, maths) => {
      maths.failures = [Status.TEMPORARY_ERROR, Status.THROTTLED];
      const expected: [string, unknown, unknown][] = [
        ['Maths.sum', [1, 2, 3], 12],
        ['Maths.flaky', 9, 9],
        ['Maths.later', '1ms', 'done'],
        ['Maths.countDown', 3, 'lift-off'],
      ];
      for (const [name, input, output] of expected) {
        const { dispatchIds } = await service.dispatch({ calls: [callOf(name, input)] }, context);
        expect(outputOf(await ended(service, dispatchIds[0] ?? ''))).toEqual(output);
      }
      expect(maths.calls).toBe(6);
    });
  });

  it('runs an application on the time of a test', async () => {
    const time = new TestTime();
    const dispatch = DispatchModule.forRoot({ endpoint: { open: true } });
    const builder = Test.createTestingModule({ imports: [dispatch], providers: [Maths] });
    const app = (await time.control(builder).compile()).createNestApplication({ logger: false });
    const service = new DispatchService(EndpointClient.fromApp(app), {
      apiKey,
      collectRoundtrips: true,
      now: () => time.now,
    });
    const { dispatchIds } = await service.dispatch({ calls: [callOf('Maths.later', '3d')] }, context);
    await service.dispatchCalls();
    await time.advance('2d');
    await service.dispatchCalls();
    expect(service.queue).toHaveLength(1);
    await time.advance('1d');
    await service.dispatchCalls();
    expect(service.queue).toEqual([]);
    expect(
      service.roundtrips
        .get(dispatchIds[0] ?? '')
        ?.map(([, response]) => outputOf(response))
        .at(-1),
    ).toBe('done');
    await app.close();
  });

  it('runs nothing once it is stopped, and goes on when it is started again', async () => {
    const { service, scripted, functions } = script([exit(1)]);
    service.start();
    service.start();
    await service.stop();
    await service.dispatch({ calls: [callOf('f')] }, context);
    expect(functions()).toEqual(['f']);
    expect(scripted.requests).toEqual([]);
    service.start();
    while (service.queue.length > 0 || scripted.requests.length === 0) await new Promise(setImmediate);
    await service.stop();
    expect(scripted.requests).toHaveLength(1);
  });
});
