import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { Status } from '../errors/index.js';
import type { Census, Mutation } from '../scheduler/index.js';

/** Seconds: from what memory takes to what a slow disk or a long function does. */
const COMMIT_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const RUN_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600];

/** What Prometheus is told of a scheduler. No label holds what callers choose, so that their number stays small. */
export class SchedulerMetrics {
  private readonly registry = new Registry();
  private readonly created = this.counter(
    'dispatch_calls_created_total',
    'Calls recorded: roots and children.',
    'kind',
  );
  private readonly finished = this.counter('dispatch_calls_finished_total', 'Calls ended.', 'state', 'status');
  private readonly runs = this.counter(
    'dispatch_runs_total',
    'Runs that endpoints have answered, or failed to.',
    'status',
  );
  private readonly requests = this.counter('dispatch_requests_total', 'Requests of clients.', 'method', 'code');
  private readonly commitErrors = this.counter('dispatch_store_commit_errors_total', 'Commits that failed.');
  private readonly mutations = this.counter('dispatch_store_mutations_total', 'Changes written to the store.');
  private readonly commitTime = this.histogram(
    'dispatch_store_commit_duration_seconds',
    'Time that a commit took, to the disk.',
    COMMIT_BUCKETS,
  );
  private readonly runTime = this.histogram('dispatch_run_duration_seconds', 'Time that a run took.', RUN_BUCKETS);

  /** @param census counts the unfinished calls; asked whenever somebody looks */
  constructor(census: () => Census) {
    collectDefaultMetrics({ register: this.registry });
    const unfinished = new Gauge({
      name: 'dispatch_calls',
      help: 'Unfinished calls, by what they are doing.',
      labelNames: ['state'],
      registers: [this.registry],
      collect: () => {
        const { storeFails, ...counts } = census();
        for (const [state, count] of Object.entries(counts)) unfinished.set({ state }, count);
        storeUp.set(storeFails ? 0 : 1);
      },
    });
    const storeUp = new Gauge({
      name: 'dispatch_store_up',
      help: '1: the store works; 0: it fails, and nothing starts until it works again.',
      registers: [this.registry],
    });
  }

  /** The text of `GET /metrics`, with its content type. */
  async expose(): Promise<{ readonly type: string; readonly text: string }> {
    return { type: this.registry.contentType, text: await this.registry.metrics() };
  }

  committed(mutations: readonly Mutation[], seconds: number): void {
    this.commitTime.observe(seconds);
    this.mutations.inc(mutations.length);
    for (const mutation of mutations) {
      if (mutation.type === 'create') this.created.inc({ kind: mutation.header.parentId === '' ? 'root' : 'child' });
      if (mutation.type !== 'finish') continue;
      const { state, status } = mutation.finished;
      this.finished.inc({ state, status: nameOf(status) });
    }
  }

  commitFailed(seconds: number): void {
    this.commitTime.observe(seconds);
    this.commitErrors.inc();
  }

  ran(status: Status, seconds: number): void {
    this.runs.inc({ status: nameOf(status) });
    this.runTime.observe(seconds);
  }

  /** @param code `ok`, or the error's code in the protocol's spelling */
  served(method: string, code: string): void {
    this.requests.inc({ method, code });
  }

  private counter(name: string, help: string, ...labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  private histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name, help, buckets, registers: [this.registry] });
  }
}

/** An endpoint may answer with a number that is no status. */
const nameOf = (status: Status): string => Status[status] ?? 'UNKNOWN';
