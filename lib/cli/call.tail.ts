import type { CallInfo } from '../scheduler/index.js';
import type { CallSource } from './call.source.js';

/** Calls that are looked at again at a time. */
const AT_ONCE = 16;

/** Finds out what has changed since the last look: new calls, and states of those that are known and unfinished. */
export class CallTail {
  private readonly unfinished = new Map<string, CallInfo['state']>();
  private readonly seen = new Set<string>();

  /** @param since milliseconds since 1970: calls that are older are not told of */
  constructor(
    private readonly source: Pick<CallSource, 'get' | 'list'>,
    private since: number,
  ) {}

  /** Calls whose states are others than at the last look, the oldest first. */
  async changes(): Promise<CallInfo[]> {
    const changed: CallInfo[] = [];
    const known = [...this.unfinished.keys()];
    for (let start = 0; start < known.length; start += AT_ONCE) {
      const ids = known.slice(start, start + AT_ONCE);
      for (const [index, call] of (await Promise.all(ids.map((id) => this.source.get(id)))).entries()) {
        if (call === undefined) this.unfinished.delete(ids[index] ?? '');
        else this.note(call, changed);
      }
    }
    for (const call of await this.newCalls()) this.note(call, changed);
    return changed;
  }

  private note(call: CallInfo, changed: CallInfo[]): void {
    if (this.unfinished.get(call.id) !== call.state) changed.push(call);
    if (call.finishedAt === undefined) this.unfinished.set(call.id, call.state);
    else this.unfinished.delete(call.id);
  }

  /** The oldest first. Calls of the millisecond that was looked at last may come yet. */
  private async newCalls(): Promise<CallInfo[]> {
    const found: CallInfo[] = [];
    let after: string | undefined;
    do {
      const page = await this.source.list({ createdAfter: this.since - 1, after });
      found.push(...page.calls.filter(({ id }) => !this.seen.has(id)));
      after = page.next;
    } while (after !== undefined);
    const last = Math.max(this.since, ...found.map(({ createdAt }) => createdAt));
    if (last > this.since) this.seen.clear();
    for (const { id, createdAt } of found) if (createdAt === last) this.seen.add(id);
    this.since = last;
    return found.reverse();
  }
}
