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
    const looked: CallInfo[] = [];
    const gone: string[] = [];
    const known = [...this.unfinished.keys()];
    for (let start = 0; start < known.length; start += AT_ONCE) {
      const ids = known.slice(start, start + AT_ONCE);
      for (const [index, call] of (await Promise.all(ids.map((id) => this.source.get(id)))).entries()) {
        if (call === undefined) gone.push(ids[index] ?? '');
        else looked.push(call);
      }
    }
    looked.push(...(await this.newCalls()));
    // Only now: where a look fails, the next one tells of all of it.
    for (const id of gone) this.unfinished.delete(id);
    return looked.filter((call) => this.note(call));
  }

  /** @returns whether it is news */
  private note({ id, state, finishedAt }: CallInfo): boolean {
    const isNews = this.unfinished.get(id) !== state;
    if (finishedAt === undefined) this.unfinished.set(id, state);
    else this.unfinished.delete(id);
    return isNews;
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
