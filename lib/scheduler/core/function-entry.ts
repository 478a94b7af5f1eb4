import type { EndpointEntry } from './endpoint-entry.js';
import type { Key } from './key-queues.js';
import type { FunctionPolicy } from './options.js';
import type { FunctionTurns } from './turns.js';

/** How many calls with the same key go on at a time, where the function does not say. */
const DEFAULT_PER_KEY = 1;

/** A function of an endpoint, shared by all its calls. */
export class FunctionEntry {
  private registered: readonly FunctionPolicy[] = [];
  private concurrency = Infinity;
  /** Calls with the same key that may hold it at a time. */
  perKey = DEFAULT_PER_KEY;
  /** Unfinished calls of it. */
  calls = 0;
  /** Runs in flight. */
  running = 0;
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

  /** Limits count all versions of a function, so where several are registered the lowest one holds. */
  set policies(policies: readonly FunctionPolicy[]) {
    this.registered = policies;
    this.concurrency = Math.min(Infinity, ...policies.flatMap(({ concurrency }) => concurrency ?? []));
    const perKey = policies.flatMap((policy) => policy.perKey ?? []);
    this.perKey = perKey.length === 0 ? DEFAULT_PER_KEY : Math.min(...perKey);
  }

  get isFull(): boolean {
    return this.running >= this.concurrency;
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
}
