import { NotFoundError } from '../errors/index.js';
import {
  namespaceOf,
  type CallFilter,
  type CallInfo,
  type CallInfoPage,
  type CallOutcome,
  type Scheduler,
} from '../scheduler/index.js';
import type { Caller } from './api.keys.js';

/** Pages without a call of the caller that are passed over for one answer. */
const PAGES = 100;

/** The calls of a scheduler as one caller sees them: those of other namespaces are not there. */
export class VisibleCalls {
  constructor(
    private readonly scheduler: Pick<Scheduler, 'get' | 'list' | 'wait' | 'cancel' | 'retry'>,
    private readonly caller: Caller,
  ) {}

  async get(id: string): Promise<CallInfo | undefined> {
    const info = await this.scheduler.get(id);
    return info !== undefined && this.isVisible(info) ? info : undefined;
  }

  /** May hold fewer calls than the limit, or none, although there are more: `next` tells. */
  async list(
    filter: CallFilter,
    { limit, after }: { limit: number; after: string | undefined },
  ): Promise<CallInfoPage> {
    for (let [pages, next] = [0, after]; ; pages++) {
      const page = await this.scheduler.list(filter, { limit, after: next });
      const calls = page.calls.filter((info) => this.isVisible(info));
      next = page.next;
      if (next === undefined || calls.length > 0 || pages >= PAGES) return { calls, next };
    }
  }

  /** @throws NotFoundError, TimeoutError as `Scheduler.wait` */
  async wait(id: string, options: { timeout: number; signal: AbortSignal }): Promise<CallOutcome> {
    await this.require(id);
    return this.scheduler.wait(id, options);
  }

  async cancel(id: string): Promise<boolean> {
    await this.require(id);
    return this.scheduler.cancel(id);
  }

  async retry(id: string): Promise<void> {
    await this.require(id);
    return this.scheduler.retry(id);
  }

  private async require(id: string): Promise<void> {
    if ((await this.get(id)) === undefined) throw new NotFoundError(`there is no call ${id}`);
  }

  private isVisible({ rootId }: CallInfo): boolean {
    return namespaceOf(rootId) === this.caller.namespace;
  }
}
