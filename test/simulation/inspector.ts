import type { RunRequest } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';
import type { RunContext } from '../../lib/protocol/index.js';
import type { DispatchId } from '../../lib/scheduler/index.js';
import type { Ledger, LedgerCall } from './ledger.js';
import { FUNCTIONS, LOCAL } from './programs.js';
import type { WallClock } from './simulated-clock.js';
import type { Trace } from './trace.js';
import type { WorldOptions } from './simulated-world.js';

/** How long it may take to read what a run needs, on the slowest of disks; milliseconds. */
const READING_TAKES = 15_000;

/** A call that has begun: what it has of a key is given up when it ends, or becomes a call of another function. */
export interface Holder {
  readonly function: string;
  readonly ends: number;
}

/** Which calls the store knows to run, or could not be told of. */
interface Marks {
  readonly marks: Pick<ReadonlySet<DispatchId>, 'has'>;
  readonly unmarked: Pick<ReadonlySet<DispatchId>, 'has'>;
}

interface RunInFlight {
  readonly endpoint: string;
  readonly function: string;
}

/** Looks at each run that a scheduler sends, and counts those in flight. */
export class Inspector {
  private readonly inFlight = new Map<DispatchId, RunInFlight>();

  constructor(
    private readonly ledger: Ledger,
    private readonly disk: Marks,
    private readonly trace: Trace,
    private readonly limits: Pick<WorldOptions['scheduler'], 'concurrency' | 'endpoints'>,
    private readonly wall: WallClock,
    /** Calls with a key that have begun: where there are several processes, of all of them. */
    private readonly holders = new Map<DispatchId, Holder>(),
  ) {
    for (const call of ledger.calls.values()) if (this.hasBegun(call)) this.hold(call);
  }

  begin(endpoint: string, request: RunRequest, context: RunContext | undefined, signal: AbortSignal): () => void {
    const { dispatchId: id } = request;
    const call = this.ledger.calls.get(id);
    this.trace.note(request.directive.case === 'input' ? 'runs' : 'resumes', id, this.detail(request, context));
    this.checkLimits(endpoint, request);
    this.trace.check(
      this.disk.marks.has(id) || this.disk.unmarked.has(id),
      'a call runs and is not marked as running',
      id,
    );
    if (call === undefined) this.checkSpeculative(endpoint, request);
    else {
      this.checkRun(call, request, context);
      this.checkKey(call);
    }
    // It was cancelled while its state was read: nobody will say when it is over, where it does not answer.
    if (signal.aborted) return () => undefined;
    const run = { endpoint, function: request.function };
    this.inFlight.set(id, run);
    const end = (): void => {
      if (this.inFlight.get(id) === run) this.inFlight.delete(id);
    };
    signal.addEventListener('abort', end, { once: true });
    return end;
  }

  /** How many runs of the function are in flight. */
  countOf(endpoint: string, name: string): number {
    return [...this.inFlight.values()].filter((run) => run.endpoint === endpoint && run.function === name).length;
  }

  /** Calls that are being run. */
  get running(): DispatchId[] {
    return [...this.inFlight.keys()];
  }

  private detail({ directive }: RunRequest, context: RunContext | undefined): string {
    const results = directive.case === 'pollResult' ? `${directive.value.results.length} results ` : '';
    return `${results}${context ? `i${context.incarnation} attempt ${context.attempt}${context.cancelled ? ' cancelled' : ''}` : ''}`;
  }

  private checkLimits(endpoint: string, { dispatchId: id, function: name }: RunRequest): void {
    this.trace.check(!this.inFlight.has(id), 'a call is run twice at a time', id);
    const { concurrency, endpoints = {} } = this.limits;
    this.trace.check(this.inFlight.size < concurrency, 'more runs than the scheduler may have', id);
    const ofEndpoint = [...this.inFlight.values()].filter((run) => run.endpoint === endpoint);
    const mostOfEndpoint = endpoints[endpoint]?.concurrency ?? Infinity;
    this.trace.check(ofEndpoint.length < mostOfEndpoint, `more runs of ${endpoint} than it may have`, id);
    const running = ofEndpoint.filter((run) => run.function === name).length;
    const most = FUNCTIONS.get(name)?.concurrency ?? Infinity;
    this.trace.check(running < most, `more runs of ${name} than it may have`, id);
  }

  /** A key is held from the first turn of a call to its end, in this process and in those after it. */
  private checkKey(call: LedgerCall): void {
    const { id, key } = call.header;
    if (key === '') return;
    let others = 0;
    for (const other of this.ledger.calls.values()) {
      const isRival = other !== call && other.header.key === key && other.function === call.function;
      if (isRival && other.endpoint === call.endpoint && this.holds(other)) others += 1;
    }
    this.trace.check(others < (FUNCTIONS.get(call.function)?.perKey ?? 1), 'more calls have a key than may', id);
    this.hold(call);
  }

  private hold({ header, function: name, ends }: LedgerCall): void {
    if (header.key !== '') this.holders.set(header.id, { function: name, ends });
  }

  private holds({ header, function: name, finished, ends }: LedgerCall): boolean {
    const holder = this.holders.get(header.id);
    return finished === undefined && holder?.function === name && holder.ends === ends;
  }

  /** Whether a former process has begun the call, as far as the disk tells. */
  private hasBegun({ header, progress, bytes, finished }: LedgerCall): boolean {
    if (finished !== undefined) return false;
    return this.disk.marks.has(header.id) || bytes > 0 || progress.minResults > 0 || progress.attempt > 0;
  }

  /** A call that is not committed yet may run early in this process, where nobody else hears of it. */
  private checkSpeculative(endpoint: string, request: RunRequest): void {
    const { dispatchId: id, function: name } = request;
    const mayStart =
      endpoint === LOCAL && request.parentDispatchId !== '' && FUNCTIONS.get(name)?.startAfterCommit !== true;
    this.trace.check(mayStart, 'a call runs that was never recorded', id);
    this.trace.check(request.directive.case === 'input', 'a call goes on that was never recorded', id);
  }

  private checkRun(
    call: LedgerCall,
    { directive, dispatchId: id, function: name }: RunRequest,
    context: RunContext | undefined,
  ): void {
    const { progress } = call;
    this.trace.check(call.finished === undefined, 'a call runs that has ended', id);
    // One that was cancelled has the time to clean up instead.
    const end = progress.cancelBy ?? call.header.expiresAt ?? Infinity;
    const overdue = this.wall.now() - end;
    const isOverdue = overdue > READING_TAKES && this.wall.steadyFor > READING_TAKES;
    this.trace.check(!isOverdue, 'a call runs that has expired', id);
    const isEarly = progress.state === 'pending' && progress.dueAt > this.wall.now();
    this.trace.check(!isEarly || this.wall.steadyFor < READING_TAKES, 'a call runs before its time', id);
    this.trace.check(name === call.function, 'a call runs another function than it is of', id);
    this.trace.check(progress.state !== 'incompatible', 'a call runs that is parked', id);
    if (context) this.trace.check(context.incarnation === progress.incarnation, 'a run is of another incarnation', id);
    if (directive.case === 'input') {
      this.trace.check(progress.cancelBy === undefined, 'a call begins that was cancelled', id);
      this.trace.check(call.bytes === 0, 'a call begins again that has a history', id);
    }
    if (directive.case !== 'pollResult') return;
    const { results, state } = directive.value;
    if (context) this.trace.check(context.position.bytes === call.bytes, 'a run goes on from another history', id);
    if (state.case === 'coroutineState') {
      this.trace.check(state.value.length === call.bytes, 'a run is given another history than is recorded', id);
    }
    const due = [...call.inbox].filter(([place]) => place > progress.delivered).sort(([a], [b]) => a - b);
    results.forEach((result, index) => {
      const isNext = due[index]?.[1].header.id === result.dispatchId;
      if (!isNext) this.trace.violate('a run is given a result that is not its next one', id, result.dispatchId);
    });
  }
}
