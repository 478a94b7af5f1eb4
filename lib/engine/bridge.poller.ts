import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { DispatchError, isRetryable } from '../errors/index.js';
import type { RunRequest, RunResponse } from '../gen/dispatch/sdk/v1/function_pb.js';
import { BridgeService, type BridgedRun } from '../gen/nestjs_dispatch/v1/bridge_pb.js';
import type { FunctionRunner } from '../protocol/index.js';
import { NoSuchMethodError, type RemoteScheduler } from '../remote/index.js';

export interface BridgePollerParts {
  readonly scheduler: Pick<RemoteScheduler, 'invoke' | 'origin'>;
  /** What comes after `bridge://`. */
  readonly name: string;
  readonly runner: FunctionRunner;
  readonly log: { log(message: string): void; warn(message: string): void };
  /** Told of every answer of a function. */
  readonly onRun?: (request: RunRequest, response: RunResponse) => void;
}

/** Runs that are fetched at a time. */
const AT_ONCE = 100;
/** The scheduler answers a poll before. */
const POLL_TIMEOUT = 40_000;
/** Pauses while the scheduler cannot be reached: from the first, doubling, to the last. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 2_000;
/** How long runs in flight may take when the application ends, in milliseconds. */
const GRACE = 5_000;

/** Fetches the runs of an application that has no address, and sends their answers back. */
export class BridgePoller {
  private readonly session = randomUUID();
  private readonly inFlight = new Set<Promise<void>>();
  private readonly stopping = new AbortController();
  private polling: Promise<void> = Promise.resolve();

  constructor(private readonly parts: BridgePollerParts) {}

  start(): void {
    this.polling = this.poll();
  }

  /** Fetches nothing more; resolves when the runs in flight have ended, or took too long. */
  async stop(): Promise<void> {
    const rest = new AbortController();
    await Promise.race([
      Promise.all(this.inFlight),
      delay(this.inFlight.size === 0 ? 0 : GRACE, undefined, { signal: rest.signal }).catch(() => undefined),
    ]);
    rest.abort();
    this.stopping.abort();
    await this.polling;
  }

  private async poll(): Promise<void> {
    const { scheduler, name, log } = this.parts;
    const { signal } = this.stopping;
    const request = { name, session: this.session, limit: AT_ONCE };
    for (let pause = FIRST_PAUSE; !signal.aborted;) {
      try {
        const { runs } = await scheduler.invoke(BridgeService.method.poll, request, { timeout: POLL_TIMEOUT, signal });
        if (pause > FIRST_PAUSE) log.log(`The scheduler at ${scheduler.origin} answers again; its runs are fetched.`);
        pause = FIRST_PAUSE;
        for (const run of runs) this.begin(run);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof NoSuchMethodError) {
          return log.warn(
            `The scheduler at ${scheduler.origin} has no bridge (${error.message}): set DISPATCH_ENDPOINT_URL to an ` +
              `address where it can call the application, or use a scheduler of this package.`,
          );
        }
        if (pause === FIRST_PAUSE) log.warn(`No runs can be fetched: ${String(error)} It is tried again and again.`);
        await delay(pause, undefined, { signal }).catch(() => undefined);
        pause = Math.min(2 * pause, LONGEST_PAUSE);
      }
    }
  }

  private begin(run: BridgedRun): void {
    const work = this.run(run).finally(() => this.inFlight.delete(work));
    this.inFlight.add(work);
  }

  private async run({ runId, request, attempt }: BridgedRun): Promise<void> {
    if (request === undefined) return;
    const { response } = await this.parts.runner.run(request, {
      signal: this.stopping.signal,
      attempt: Math.max(1, attempt),
    });
    this.parts.onRun?.(request, response);
    await this.answer(runId, response);
  }

  private async answer(runId: string, response: RunResponse): Promise<void> {
    const { signal } = this.stopping;
    for (let pause = FIRST_PAUSE; !signal.aborted; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      try {
        await this.parts.scheduler.invoke(BridgeService.method.answer, { runId, response }, { signal });
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof DispatchError && isRetryable(error.status))) {
          return this.parts.log.warn(`The answer of a run was not taken: ${String(error)}`);
        }
        await delay(pause, undefined, { signal }).catch(() => undefined);
      }
    }
  }
}
