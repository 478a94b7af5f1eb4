import { randomUUID } from 'node:crypto';
import { failure } from '../endpoint/index.js';
import { Status } from '../errors/index.js';
import type { RunRequest, RunResponse } from '../gen/dispatch/sdk/v1/function_pb.js';
import type { RunAnswer } from '../protocol/index.js';
import { namespaceOf, type RunOptions } from '../scheduler/index.js';
import type { Caller } from './api.keys.js';
import { bridgeName } from './bridge.address.js';

/** How long runs wait for an application that does not poll, and a process that has gone away for its next poll, in milliseconds. */
const PATIENCE = 5_000;

/** A run on its way over the bridge. */
interface Crossing {
  readonly id: string;
  readonly endpoint: string;
  readonly request: RunRequest;
  readonly attempt: number;
  readonly settle: (answer: RunAnswer) => void;
}

export interface Poll {
  readonly name: string;
  readonly session: string;
  /** At most so many runs. */
  readonly limit: number;
  /** Milliseconds. */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

/** Runs for applications that have no address: they wait here until these fetch them. */
export class Bridge {
  private readonly queues = new Map<string, RunQueue>();

  /** Resolves with the application's answer; when none comes, with a status that is retried. */
  run(endpoint: string, request: RunRequest, options: RunOptions): Promise<RunAnswer> {
    const key = `${namespaceOf(request.rootDispatchId)}/${bridgeName(endpoint) ?? ''}`;
    return this.queue(key).run(endpoint, request, options);
  }

  /** Runs for the application of that name: as soon as there is one, or none when the time is over. */
  poll({ namespace }: Caller, poll: Poll): Promise<Pick<Crossing, 'id' | 'request' | 'attempt'>[]> {
    return this.queue(`${namespace}/${poll.name}`).poll(poll);
  }

  /** The answer of a run. One that is over, or another caller's, is not there to be answered. */
  answer({ namespace }: Caller, id: string, response: RunResponse): void {
    for (const [key, queue] of this.queues) {
      if (key.startsWith(`${namespace}/`) && queue.answer(id, response)) return;
    }
  }

  private queue(key: string): RunQueue {
    const known = this.queues.get(key);
    if (known !== undefined) return known;
    const queue = new RunQueue(() => this.queues.delete(key));
    this.queues.set(key, queue);
    return queue;
  }
}

/** A process that polls. */
interface Session {
  polls: number;
  readonly fetched: Map<string, Crossing>;
  gone: NodeJS.Timeout | undefined;
}

class RunQueue {
  private readonly waiting = new Map<string, Crossing>();
  private readonly sessions = new Map<string, Session>();
  private readonly pollers = new Set<() => void>();

  constructor(private readonly abandoned: () => void) {}

  run(endpoint: string, request: RunRequest, { signal, attempt = 1 }: RunOptions): Promise<RunAnswer> {
    return new Promise((resolve) => {
      const settle = (answer: RunAnswer): void => {
        signal.removeEventListener('abort', aborted);
        clearTimeout(patience);
        this.remove(crossing.id);
        resolve(answer);
      };
      const crossing: Crossing = { id: randomUUID(), endpoint, request, attempt, settle };
      const aborted = (): void =>
        settle(failure(Status.TIMEOUT, `${endpoint} did not answer before the run's deadline`));
      const patience = setTimeout(() => {
        if (!this.waiting.has(crossing.id) || this.sessions.size > 0) return;
        settle(nobody(endpoint));
      }, PATIENCE);
      signal.addEventListener('abort', aborted, { once: true });
      this.waiting.set(crossing.id, crossing);
      for (const look of this.pollers) look();
    });
  }

  async poll({ session: name, limit, timeout, signal }: Poll): Promise<Crossing[]> {
    const session = this.arrive(name);
    try {
      if (this.waiting.size === 0) await this.untilRun(timeout, signal);
      if (signal.aborted) return [];
      const runs = [...this.waiting.values()].slice(0, limit);
      for (const run of runs) {
        this.waiting.delete(run.id);
        session.fetched.set(run.id, run);
      }
      return runs;
    } finally {
      this.leave(name, session);
    }
  }

  /** Whether the run was here. */
  answer(id: string, response: RunResponse): boolean {
    for (const { fetched } of this.sessions.values()) {
      const run = fetched.get(id);
      if (run === undefined) continue;
      run.settle({ response, ran: true });
      return true;
    }
    return false;
  }

  private untilRun(timeout: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        this.pollers.delete(look);
        resolve();
      };
      const look = (): void => {
        if (this.waiting.size > 0) end();
      };
      const timer = setTimeout(end, timeout);
      signal.addEventListener('abort', end, { once: true });
      this.pollers.add(look);
      if (signal.aborted) end();
    });
  }

  private arrive(name: string): Session {
    const session = this.sessions.get(name) ?? { polls: 0, fetched: new Map<string, Crossing>(), gone: undefined };
    clearTimeout(session.gone);
    session.polls += 1;
    this.sessions.set(name, session);
    return session;
  }

  private leave(name: string, session: Session): void {
    session.polls -= 1;
    if (session.polls > 0) return;
    session.gone = setTimeout(() => {
      this.sessions.delete(name);
      for (const { settle } of [...session.fetched.values()]) {
        settle(failure(Status.TCP_ERROR, 'the application that had fetched the run has gone away'));
      }
      if (this.sessions.size === 0) for (const run of [...this.waiting.values()]) run.settle(nobody(run.endpoint));
      this.forgetIfEmpty();
    }, PATIENCE);
    // An idle bridge keeps no process alive.
    session.gone.unref();
  }

  private remove(id: string): void {
    this.waiting.delete(id);
    for (const { fetched } of this.sessions.values()) fetched.delete(id);
    this.forgetIfEmpty();
  }

  private forgetIfEmpty(): void {
    if (this.waiting.size === 0 && this.sessions.size === 0) this.abandoned();
  }
}

function nobody(endpoint: string): RunAnswer {
  return failure(
    Status.TCP_ERROR,
    `no application fetches the runs of ${endpoint}: start it, with this address and API key`,
  );
}
