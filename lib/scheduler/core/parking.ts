import { InvalidArgumentError } from '../../errors/index.js';
import type { Error as WireError } from '../../gen/dispatch/sdk/v1/error_pb.js';
import type { CallRow, DispatchId } from '../store.js';
import type { Core } from './core.js';
import { freshProgress } from './progress.js';
import { CallRecord } from './record.js';
import type { Run } from './run.js';
import { unknownCall } from './waits.js';

/** Sets calls aside whose recorded state fits no code that is here, and takes them and failed ones up again. */
export class Parking {
  /** Parked calls, with the version they failed with; undefined where that was in another process. */
  private readonly parked = new Map<CallRecord, string | undefined>();

  constructor(private readonly core: Core) {}

  park(run: Run, error: WireError): void {
    const { record } = run;
    this.core.runs.end(run);
    this.core.commits.progress(record, { ...record.progress, state: 'incompatible', crashes: 0 });
    this.parked.set(record, run.fn.policy(record.version)?.version ?? '');
    this.core.log.warn(
      `call ${record.id} of ${record.fn.name} is parked as incompatible: it goes on when code that fits is here, or is ` +
        `retried or cancelled by hand. ${error.message}`,
    );
  }

  /** A call that was parked by another process, or is so again after a failed commit. */
  remember(record: CallRecord): void {
    this.parked.set(record, undefined);
  }

  /** The scheduler takes up work: a new process may have other code, whatever it calls its version. */
  started(): void {
    for (const record of this.parked.keys()) {
      if (record.fn.policies.length > 0) this.resume(record);
    }
  }

  /** A call of another process came here, while this one runs. */
  adopted(record: CallRecord): void {
    if (!this.parked.has(record)) return;
    if (record.fn.policies.length > 0 || this.core.fleet?.departures.isAtHomeElsewhere(record)) this.resume(record);
  }

  /** Other processes have other functions than before: calls that fit theirs go on there. */
  neighboursChanged(): void {
    this.forgetOthers();
    for (const record of this.parked.keys()) {
      if (this.core.fleet?.departures.isAtHomeElsewhere(record)) this.resume(record);
    }
  }

  forgetAll(): void {
    this.parked.clear();
  }

  /** Functions were registered: calls that another version than theirs is here for go on. */
  registered(endpoint: string): void {
    this.forgetOthers();
    for (const [record, failedWith] of this.parked) {
      if (record.fn.endpoint === endpoint && this.fits(record, failedWith)) this.resume(record);
    }
  }

  async retry(id: DispatchId): Promise<void> {
    const record = this.core.records.get(id);
    if (record && !record.finished && !record.leaving) {
      if (record.progress.state !== 'incompatible') {
        throw new InvalidArgumentError(
          `the call ${id} cannot be retried: it is ${record.run ? 'running' : record.progress.state}`,
        );
      }
      this.resume(record);
    } else {
      if (record) await this.core.commits.durable();
      await this.revive(id);
    }
    await this.core.commits.durable();
  }

  /** Some have gone on, ended or left since they were parked. */
  private forgetOthers(): void {
    for (const record of this.parked.keys()) {
      if (record.progress.state !== 'incompatible' || record.finished || record.leaving) this.parked.delete(record);
    }
  }

  private resume(record: CallRecord): void {
    this.parked.delete(record);
    const dueAt = this.core.clock.now();
    this.core.commits.progress(record, { ...record.progress, state: 'pending', dueAt, attempt: 0 });
  }

  /** What is in the store, and not what a read that took long has found there before it was removed. */
  private async read(id: DispatchId): Promise<CallRow | undefined> {
    const { store, retention } = this.core;
    for (;;) {
      const { slices } = retention;
      const row = await store.get(id);
      if (retention.slices === slices) return row;
    }
  }

  /** A root that has failed begins again from its first input. */
  private async revive(id: DispatchId): Promise<void> {
    const { core } = this;
    const row = await this.read(id);
    if (row === undefined || core.purging.has(id)) throw unknownCall(id);
    const refused = (reason: string) => new InvalidArgumentError(`the call ${id} cannot be retried: ${reason}`);
    const { header, target, progress, finished } = row;
    const now = core.clock.now();
    if (core.records.has(id) || finished === undefined) {
      throw refused(core.fleet ? 'another process has it, or it waits for one' : 'it is being retried already');
    }
    if (header.parentId !== '') throw refused('its parent has its result. Retry the root of its tree');
    if (finished.state === 'succeeded') throw refused('it has succeeded');
    if ((header.expiresAt ?? Infinity) <= now) throw refused('it has expired. Dispatch it again');
    const fresh = freshProgress(now, progress.incarnation + 1);
    if (core.fleet?.givesAway(target.endpoint, target.function, header.key)) return core.commits.reviveFree(id, fresh);
    const fn = core.functions.entry(target.endpoint, target.function);
    const record = new CallRecord(header, fn, target.version, fresh);
    core.add(record);
    core.waits.forgetOutcome(id);
    core.commits.revive(record);
  }

  private fits(record: CallRecord, failedWith: string | undefined): boolean {
    return record.fn.policies.some((policy) => failedWith === undefined || (policy.version ?? '') !== failedWith);
  }
}
