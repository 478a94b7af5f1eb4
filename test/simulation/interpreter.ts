import { any, call, currentCall, currentRun, gather, race, sleep, step, tailCall } from '../../lib/coroutine/index.js';
import { bindMethod } from '../../lib/decorators/index.js';
import { PermanentError, TemporaryError } from '../../lib/errors/index.js';
import { NATIVE_ENDPOINT, NATIVE_WAIT } from '../../lib/scheduler/index.js';
import type { Hearing } from './hearing.js';
import { failureOf, plainValueOf, settled, stepFailureOf, type Outcome } from './oracle.js';
import { FUNCTIONS, type Expression, type Home, type Program } from './programs.js';

/** What the code of a function can reach beside what is durable: the application that it runs in, and who watches it. */
export interface Application {
  readonly home: Home;
  program(id: number): Program;
  rootId(index: number): string;
  /** Whether the application has the changed code. */
  readonly changed: boolean;
  /** I/O, which takes its time. It never comes back in a process that is dead. */
  io(milliseconds: number): Promise<void>;
  /** Counts how often a call has come to something, this time included. */
  visit(call: string, expression: number): number;
  /** A step's code has run: its value, which no other run of it has. */
  produce(expression: number): string;
  /** A run of a call begins, and hears of what it calls from now on. */
  listen(call: string): Hearing;
  /** The function has seen the outcome of a durable operation. */
  observe(call: string, expression: number, outcome: Outcome): void;
  /** Ends the process. */
  kill(): void;
}

/** So many milliseconds last longer than any run. */
export const FOR_EVER = 1e12;

/** One run of a program, from its first line. */
export class Interpreter {
  private readonly id = currentCall().id;
  private readonly hearing: Hearing;

  constructor(private readonly application: Application) {
    this.hearing = application.listen(this.id);
  }

  async run(name: string, input: unknown): Promise<unknown> {
    if (name === 'echo') return input;
    if (name === 'extra') return 'extra';
    if (name === 'deadly') {
      this.application.kill();
      return this.application.io(FOR_EVER);
    }
    const program = this.application.program(Number(input));
    if (FUNCTIONS.get(name)?.changes !== undefined && this.application.changed) {
      await call({ function: 'extra', input: 0 });
    }
    const value = await this.perform(program.body);
    const { end } = program;
    if (end === 'return') return value;
    if (end === 'fail') throw new PermanentError(failureOf(program));
    return tailCall(tailOf(this.application.program(end.tail).function), end.tail);
  }

  private async perform(part: Expression): Promise<unknown> {
    switch (part.kind) {
      case 'sequence': {
        const results: unknown[] = [];
        for (const one of part.parts) results.push(await this.perform(one));
        return results;
      }
      case 'attempt':
        return settled(await outcomeOf(this.perform(part.part)));
      case 'gather':
        return gather(part.parts.map((one) => (one.kind === 'call' ? this.call(one) : this.perform(one))));
      case 'promise all':
        return Promise.all(part.parts.map((one) => this.perform(one)));
      case 'all settled': {
        const ends = await Promise.allSettled(part.parts.map((one) => this.perform(one)));
        return ends.map((end) =>
          settled(end.status === 'fulfilled' ? { value: end.value } : { error: messageOf(end.reason) }),
        );
      }
      case 'race':
        return race(part.parts.map((one) => this.perform(one)));
      case 'promise race':
        return Promise.race(part.parts.map((one) => this.perform(one)));
      case 'any':
        return any(part.parts.map((one) => this.perform(one)));
      case 'promise any':
        return Promise.any(part.parts.map((one) => this.perform(one)));
      case 'echoed race': {
        const winner = await Promise.race(part.parts.map((one) => this.perform(one)));
        return [winner, await call({ function: 'echo', input: winner })];
      }
      case 'call':
        return this.observed(part.id, () => this.call(part), part.program);
      case 'wait': {
        const input = this.application.rootId(part.root);
        return this.observed(part.id, () => call({ endpoint: NATIVE_ENDPOINT, function: NATIVE_WAIT, input }), input);
      }
      case 'forgotten':
        void this.call({ ...part, kind: 'call', expiration: undefined });
        return plainValueOf(part);
      case 'step':
        return this.observed(part.id, () => this.step(part));
      case 'sleep':
        await sleep(part.milliseconds);
        return plainValueOf(part);
      case 'io':
        await this.application.io(part.milliseconds);
        return plainValueOf(part);
      case 'stumble':
        if (this.application.visit(this.id, part.id) > part.times) return plainValueOf(part);
        if (part.how === 'fail') throw new TemporaryError('it stumbles');
        return this.application.io(FOR_EVER);
      case 'value':
        return plainValueOf(part);
    }
  }

  private call({ program, expiration }: Extract<Expression, { kind: 'call' }>): Promise<unknown> {
    const { home, function: name } = this.application.program(program);
    const endpoint = home === this.application.home ? undefined : home;
    return call({ endpoint, function: name, input: program, expiration });
  }

  private step({ id, stumbles, fails, takes }: Extract<Expression, { kind: 'step' }>): Promise<string> {
    return step(
      async () => {
        if (takes > 0) await this.application.io(takes);
        if (this.application.visit(this.id, id) <= stumbles) throw new TemporaryError('the step stumbles');
        if (fails) throw new PermanentError(stepFailureOf(id));
        return this.application.produce(id);
      },
      { name: `step ${id}` },
    );
  }

  /** @param input of the call that it is, if it is one */
  private async observed(expression: number, make: () => Promise<unknown>, input?: unknown): Promise<unknown> {
    // What a branch does after its function has ended is not durable any more.
    if (currentRun() === undefined) return make();
    const promise = make();
    const outcome = await outcomeOf(promise);
    this.application.observe(this.id, expression, outcome);
    if (input !== undefined) this.hearing.hear(input, outcome);
    return promise;
  }
}

export async function outcomeOf(promise: Promise<unknown>): Promise<Outcome> {
  try {
    return { value: await promise };
  } catch (error) {
    return { error: messageOf(error) };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What `tailCall` is given: a method, under the name that it is registered by. */
const tails = new Map(
  [...FUNCTIONS.keys()].map((name) => {
    const method = async (_program: number): Promise<unknown> => undefined;
    bindMethod(method, { name, version: '', original: method, invoke: ([program]) => method(Number(program)) });
    return [name, method];
  }),
);

function tailOf(name: string): (program: number) => Promise<unknown> {
  const method = tails.get(name);
  if (method === undefined) throw new Error(`there is no function ${name}`);
  return method;
}
