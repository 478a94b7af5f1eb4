import { Status } from '../../errors/index.js';
import type { RunAnswer } from '../../protocol/index.js';
import type { Core } from './core.js';
import { EndpointEntry } from './endpoint-entry.js';
import { NATIVE_ENDPOINT } from './native-waits.js';
import { Pace, type Signal } from './pace.js';
import type { Run } from './run.js';

/** Any endpoint but this application may have so many times the slots of the process that are left. */
const SHARE_OF_FREE = 4;
/** Calls of an endpoint that is down whose pauses are cut short once it is back. */
const REMEMBERED = 1_000;

/** Sees that endpoints are given no more than they can take, and leave slots to others. */
export class Pacing {
  constructor(private readonly core: Core) {}

  /**
   * An endpoint that is called for the first time. Functions of this application are not slowed down by what they answer:
   * a THROTTLED or a TIMEOUT of one of them is about what it calls, and no other function's affair.
   */
  entry(url: string): EndpointEntry {
    const { transport, settings, random } = this.core;
    const isHere = url === NATIVE_ENDPOINT || transport.extended(url);
    const ceiling = Math.min(settings.concurrency, settings.endpoints[url]?.concurrency ?? Infinity);
    return new EndpointEntry(url, isHere ? undefined : new Pace(ceiling, random), (endpoint) => this.resume(endpoint));
  }

  /** Whether the endpoint can take another run. While it is to be left alone, its alarm is set. */
  admits({ pace, running, alarm }: EndpointEntry): boolean {
    if (pace === undefined) return true;
    const now = this.core.clock.now();
    const restEnd = pace.restEnd(now);
    if (restEnd !== undefined) this.core.timers.set(alarm, restEnd);
    return pace.admits(running, now);
  }

  /**
   * Whether others find a free slot after it has had another one, even if it is slow: so what it has may not exceed a
   * multiple of what is left (dynamic thresholds, Choudhury and Hahne, 1998).
   */
  leavesRoom({ pace, running }: EndpointEntry, free: number): boolean {
    return pace === undefined || running < SHARE_OF_FREE * free;
  }

  began({ fn, fence }: Run): void {
    fn.host.pace?.began(fence, this.core.clock.now());
  }

  /** The run is over, answered or not. */
  ended({ fn, fence }: Run): void {
    fn.host.pace?.ended(fence, this.core.clock.now());
  }

  /** A run was answered. */
  heard(run: Run, answer: RunAnswer): void {
    const { pace } = run.fn.host;
    if (pace === undefined) return;
    this.note(run, signalOf(answer), answer);
    if (answer.retryAfter !== undefined && answer.retryAfter > 0) {
      pace.restFor(answer.retryAfter, this.core.clock.now());
    }
  }

  /** The deadline of a run has passed. */
  timedOut(run: Run): void {
    this.note(run, 'late', undefined);
  }

  private note(run: Run, signal: Signal, answer: RunAnswer | undefined): void {
    const { core } = this;
    const { host } = run.fn;
    const { pace } = host;
    if (pace === undefined) return;
    const wasDown = pace.isDown;
    pace.heard(signal, run.fence, core.runs.lastFence, host.running, core.clock.now());
    if (pace.isDown && host.lost.size < REMEMBERED) host.lost.add(run.record);
    if (pace.isDown === wasDown) return;
    if (wasDown) this.isBack(host);
    else {
      core.log.warn(
        `The endpoint ${host.url} does not answer: ${reasonOf(answer)}. Its calls wait, and one at a time tries it ` +
          `again every few seconds. See that it runs, and that this address reaches it.`,
      );
    }
  }

  /** Calls that are to be tried again after a pause need no more of one: what they waited for is there. */
  private isBack(host: EndpointEntry): void {
    const { core } = this;
    core.log.log(`The endpoint ${host.url} answers again; its calls go on.`);
    const lost = [...host.lost];
    host.lost.clear();
    for (const record of lost) core.readiness.hurry(record);
  }

  private resume(endpoint: EndpointEntry): void {
    endpoint.resume();
    this.core.admission.requestPump();
  }
}

/** What a function answers with is its own affair, but for THROTTLED, its only way to say that it is too much. */
function signalOf({ response, ran }: RunAnswer): Signal {
  switch (response.status) {
    case Status.THROTTLED:
      return 'throttled';
    case Status.TIMEOUT:
      return ran ? 'fine' : 'late';
    case Status.DNS_ERROR:
    case Status.TCP_ERROR:
    case Status.TLS_ERROR:
    case Status.HTTP_ERROR:
    case Status.TEMPORARY_ERROR:
      return ran ? 'fine' : 'unreached';
    default:
      return 'fine';
  }
}

function reasonOf(answer: RunAnswer | undefined): string {
  const directive = answer?.response.directive;
  const error = directive?.case === 'exit' ? directive.value.result?.error : undefined;
  return error?.message ?? 'its runs take longer than their runTimeout';
}
