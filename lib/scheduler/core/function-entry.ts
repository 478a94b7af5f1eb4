import type { EndpointEntry } from './endpoint-entry.js';
import type { Key } from './key-queues.js';
import type { FunctionPolicy } from './options.js';
import type { FunctionTurns } from './turns.js';

/** How many calls with the same key go on at a time, where the function does not say. */
const DEFAULT_PER_KEY = 1;

/** What processes declare for a function. */
export type Limits = Pick<FunctionPolicy, 'concurrency' | 'perKey'>;

/** What tells functions apart. */
export const functionKey = ({ endpoint, name }: Pick<FunctionEntry, 'endpoint' | 'name'>): string =>
  `${name} ${endpoint}`;

/** A function of an endpoint, shared by all its calls. */
export class FunctionEntry {
  private registered: readonly FunctionPolicy[] = [];
  private elsewhere: readonly Limits[] = [];
  /** Runs that it may have in all processes together. */
  limit = Infinity;
  /** What this process has of them. */
  share = Infinity;
  /** Calls with the same key that may hold it at a time. */
  perKey = DEFAULT_PER_KEY;
  /** Unfinished calls of it. */
  calls = 0;
  /** Runs in flight. */
  running = 0;
  /** Runs that were started since the beginning. */
  started = 0;
  /** Calls that wait for their turn. */
  ready = 0;
  /** What the log has said of runs that are made again: nothing more until then, and of how many it has said nothing. */
  retries = { quietUntil: -Infinity, untold: 0 };
  /** Where its ready calls take turns, for each priority that they have had. */
  readonly turns: FunctionTurns[] = [];
  /** Some of them are kept from their turns. */
  waits = false;
  /** Keys that calls hold or wait for. */
  readonly keys = new Map<string, Key>();

  constructor(
    readonly host: EndpointEntry,
    readonly name: string,
  ) {}

  get endpoint(): string {
    return this.host.url;
  }

  get policies(): readonly FunctionPolicy[] {
    return this.registered;
  }

  set policies(policies: readonly FunctionPolicy[]) {
    this.registered = policies;
    this.setLimits();
  }

  /** Takes note of what other processes declare. @returns whether that is something else than before */
  hearOf(elsewhere: readonly Limits[]): boolean {
    const { limit, perKey } = this;
    this.elsewhere = elsewhere;
    this.setLimits();
    return limit !== this.limit || perKey !== this.perKey;
  }

  get isFull(): boolean {
    return this.running >= this.limit || this.running >= this.share;
  }

  /** Whether it is registered here in that version; empty: in none. */
  hasVersion(version: string): boolean {
    return this.registered.some((policy) => (policy.version ?? '') === version);
  }

  /** The policy for calls of that version; any other where the application has not said. */
  policy(version: string): FunctionPolicy | undefined {
    const [first] = this.registered;
    if (this.registered.length < 2) return first;
    return this.registered.find((policy) => (policy.version ?? '') === version) ?? first;
  }

  /** A run has ended, or the limit has changed. */
  resume(): void {
    if (!this.waits) return;
    this.waits = false;
    for (const turns of this.turns) turns.resume();
  }

  /** Limits count all versions of a function in all processes, so where several are declared the lowest one holds. */
  private setLimits(): void {
    const declared: readonly Limits[] = [...this.registered, ...this.elsewhere];
    this.limit = Math.min(Infinity, ...declared.flatMap(({ concurrency }) => concurrency ?? []));
    const perKey = declared.flatMap((limits) => limits.perKey ?? []);
    this.perKey = perKey.length === 0 ? DEFAULT_PER_KEY : Math.min(...perKey);
  }
}
