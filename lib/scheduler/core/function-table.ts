import type { FunctionPolicy } from './options.js';
import type { CallRecord } from './record.js';
import { Deque } from './deque.js';

/** A function of an endpoint, shared by all its calls. */
export class FunctionEntry {
  policies: readonly FunctionPolicy[] = [];
  /** Unfinished calls of it. */
  calls = 0;
  /** Runs in flight. */
  running = 0;
  /** Calls whose turn has come while `concurrency` runs of the function were in flight. */
  readonly held = new Deque<CallRecord>();

  constructor(
    readonly endpoint: string,
    readonly name: string,
  ) {}

  /** Nothing of it waits for a slot any more. */
  dropHeld(): void {
    for (let record = this.held.shift(); record !== undefined; record = this.held.shift()) record.held = false;
  }

  /** The policy for calls of that version; any other where the application has not said. */
  policy(version: string): FunctionPolicy | undefined {
    return this.policies.find((policy) => (policy.version ?? '') === version) ?? this.policies[0];
  }
}

/** All functions that have calls or policies. */
export class FunctionTable {
  private readonly endpoints = new Map<string, Map<string, FunctionEntry>>();
  /** Endpoints of which it was said which functions they have. */
  private readonly declared = new Set<string>();

  find(endpoint: string, name: string): FunctionEntry | undefined {
    return this.endpoints.get(endpoint)?.get(name);
  }

  entry(endpoint: string, name: string): FunctionEntry {
    let functions = this.endpoints.get(endpoint);
    if (functions === undefined) this.endpoints.set(endpoint, (functions = new Map<string, FunctionEntry>()));
    let entry = functions.get(name);
    if (entry === undefined) functions.set(name, (entry = new FunctionEntry(endpoint, name)));
    return entry;
  }

  entriesOf(endpoint: string): Iterable<FunctionEntry> {
    return this.endpoints.get(endpoint)?.values() ?? [];
  }

  declaredEndpoints(): string[] {
    return [...this.declared];
  }

  declaredFunctions(): { readonly endpoint: string; readonly function: string }[] {
    return [...this.declared].flatMap((endpoint) =>
      [...this.entriesOf(endpoint)]
        .filter((entry) => entry.policies.length > 0)
        .map((entry) => ({ endpoint, function: entry.name })),
    );
  }

  /** Whether this process can run the function, as far as it knows: an endpoint of which nothing was said may have any. */
  runsHere(endpoint: string, name: string): boolean {
    return !this.declared.has(endpoint) || (this.find(endpoint, name)?.policies.length ?? 0) > 0;
  }

  /** Takes the place of all policies of the endpoint. */
  setPolicies(endpoint: string, policies: readonly FunctionPolicy[]): void {
    this.declared.add(endpoint);
    for (const entry of this.entriesOf(endpoint)) {
      entry.policies = [];
      this.forgetUnused(entry);
    }
    for (const policy of policies) {
      const entry = this.entry(endpoint, policy.name);
      entry.policies = [...entry.policies, policy];
    }
  }

  /** A tail call makes a call one of another function. */
  assign(record: CallRecord, entry: FunctionEntry): void {
    const former = record.fn;
    entry.calls += 1;
    record.fn = entry;
    this.release(former);
  }

  release(entry: FunctionEntry): void {
    entry.calls -= 1;
    this.forgetUnused(entry);
  }

  /** Whoever may dispatch may name functions without end. */
  private forgetUnused(entry: FunctionEntry): void {
    if (entry.calls > 0 || entry.running > 0 || entry.policies.length > 0) return;
    const functions = this.endpoints.get(entry.endpoint);
    functions?.delete(entry.name);
    if (functions?.size === 0) this.endpoints.delete(entry.endpoint);
  }
}
