import type { CallFilter, CallRow, DispatchId, Timestamp } from '../store.js';
import type { CallInfo, CallInfoPage, CallWaitsFor, Census } from './calls.js';
import type { Core } from './core.js';
import { KeyLine } from './key-line.js';
import { Key } from './key-queues.js';
import { NATIVE_ENDPOINT } from './native-waits.js';
import type { CallRecord } from './record.js';

/** What calls look like from outside: what is committed, with what is going on right now. */
export class Inspection {
  constructor(private readonly core: Core) {}

  async get(id: DispatchId): Promise<CallInfo | undefined> {
    const row = await this.core.store.get(id);
    return row && this.describe(row);
  }

  async list(filter: CallFilter, page: { readonly limit: number; readonly after?: string }): Promise<CallInfoPage> {
    const { rows, next } = await this.core.store.list(filter, page);
    return { calls: rows.map((row) => this.describe(row)), next };
  }

  census(): Census {
    const counts = { running: 0, ready: 0, delayed: 0, suspended: 0, incompatible: 0 };
    for (const { run, queue, progress } of this.core.records.values()) {
      if (run !== undefined) counts.running += 1;
      else if (queue !== undefined) counts.ready += 1;
      else
        counts[progress.state === 'suspended' || progress.state === 'incompatible' ? progress.state : 'delayed'] += 1;
    }
    const { delayed, suspended } = this.core.sleepers.counts;
    counts.delayed += delayed;
    counts.suspended += suspended;
    return { ...counts, storeFails: this.core.outage.isPaused };
  }

  private describe({ header, target, progress, finished, isSetAside }: CallRow): CallInfo {
    const record = this.core.records.get(header.id);
    const running = finished === undefined && record?.run !== undefined;
    const idle = finished === undefined && !running;
    return {
      id: header.id,
      parentId: header.parentId === '' ? undefined : header.parentId,
      rootId: header.rootId,
      endpoint: target.endpoint,
      function: target.function,
      version: target.version,
      state: running ? 'running' : (finished?.state ?? progress.state),
      waitsFor: idle ? this.waitsFor({ target, progress, header, isSetAside }) : undefined,
      dueAt: idle ? dueAt(progress) : undefined,
      status: finished?.status,
      createdAt: header.createdAt,
      expiresAt: header.expiresAt,
      finishedAt: finished?.finishedAt,
      priority: header.priority,
      key: header.key === '' ? undefined : header.key,
      attempt: progress.attempt,
      crashes: progress.crashes,
      incarnation: progress.incarnation,
      cancelling: finished === undefined && progress.cancelBy !== undefined,
    };
  }

  /** What keeps a call from running that may. */
  private turnOf(record: CallRecord | undefined, now: Timestamp): CallWaitsFor {
    if (record?.queue instanceof Key || record?.queue instanceof KeyLine) return 'key';
    const { pace } = record?.fn.host ?? {};
    return pace?.isDown || pace?.restEnd(now) !== undefined ? 'endpoint' : 'turn';
  }

  private waitsFor({ header, target, progress, isSetAside }: Waiting): CallWaitsFor {
    const record = this.core.records.get(header.id);
    const now = this.core.clock.now();
    if (progress.state === 'incompatible') return 'version';
    if (target.endpoint === NATIVE_ENDPOINT) return 'results';
    if (progress.state === 'pending' && progress.dueAt > now) return 'time';
    if (record === undefined && isSetAside) return 'key';
    if (this.core.sleepers.has(header.id)) return 'time';
    if (record === undefined && this.core.fleet?.isNowhere(target.endpoint, target.function)) return 'function';
    if (record === undefined || this.core.readiness.isDue(record, now)) return this.turnOf(record, now);
    return record.outstanding + record.undelivered > 0 ? 'results' : 'time';
  }
}

type Waiting = Pick<CallRow, 'header' | 'target' | 'progress' | 'isSetAside'>;

function dueAt(progress: CallRow['progress']): Timestamp | undefined {
  switch (progress.state) {
    case 'pending':
      return progress.dueAt;
    case 'suspended':
      return progress.wakeAt;
    default:
      return undefined;
  }
}
