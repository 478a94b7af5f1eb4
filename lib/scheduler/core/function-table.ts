import type { Registration } from '../store.js';
import type { FunctionPolicy } from './options.js';
import type { EndpointEntry } from './endpoint-entry.js';
import { FunctionEntry } from './function-entry.js';
import type { CallRecord } from './record.js';

/** Endpoints without calls whose pace is remembered. */
const REMEMBERED = 1_000;

/** All functions that have calls or policies, by their endpoints. */
export class FunctionTable {
  private readonly endpoints = new Map<string, EndpointEntry>();
  /** Endpoints without functions, the one that has been so for the longest time first. */
  private readonly unused = new Map<string, EndpointEntry>();

  /** Endpoints of which it was said which functions they have. */
  private readonly declared = new Set<string>();

  constructor(private readonly create: (endpoint: string) => EndpointEntry) {}

  find(endpoint: string, name: string): FunctionEntry | undefined {
    return this.endpoints.get(endpoint)?.functions.get(name);
  }

  entry(endpoint: string, name: string): FunctionEntry {
    const host = this.endpoints.get(endpoint) ?? this.host(endpoint);
    let entry = host.functions.get(name);
    if (entry === undefined) host.functions.set(name, (entry = new FunctionEntry(host, name)));
    return entry;
  }

  entriesOf(endpoint: string): Iterable<FunctionEntry> {
    return this.endpoints.get(endpoint)?.functions.values() ?? [];
  }

  *entries(): Iterable<FunctionEntry> {
    for (const { functions } of this.endpoints.values()) yield* functions.values();
  }

  /** Whether it was said which functions the endpoint has. */
  isDeclared(endpoint: string): boolean {
    return this.declared.has(endpoint);
  }

  declaredEndpoints(): string[] {
    return [...this.declared];
  }

  /** Functions of these endpoints. */
  declaredEntries(): FunctionEntry[] {
    return [...this.declared].flatMap((endpoint) =>
      [...this.entriesOf(endpoint)].filter((entry) => entry.policies.length > 0),
    );
  }

  /** What this process has, for the others that share its store. */
  registrations(): Registration[] {
    return this.declaredEntries().flatMap(({ endpoint, name, policies }) =>
      policies.map(({ version = '', concurrency: runs, perKey }) => ({
        endpoint,
        function: name,
        version,
        runs,
        perKey,
      })),
    );
  }

  /** Whether this process can run the function, as far as it knows: an endpoint of which nothing was said may have any. */
  runsHere(endpoint: string, name: string): boolean {
    return !this.declared.has(endpoint) || (this.find(endpoint, name)?.policies.length ?? 0) > 0;
  }

  /** Takes the place of all policies of the endpoint. */
  setPolicies(endpoint: string, policies: readonly FunctionPolicy[]): void {
    this.declared.add(endpoint);
    for (const entry of [...this.entriesOf(endpoint)]) {
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

  private host(endpoint: string): EndpointEntry {
    const host = this.unused.get(endpoint) ?? this.create(endpoint);
    this.unused.delete(endpoint);
    this.endpoints.set(endpoint, host);
    return host;
  }

  /** Whoever may dispatch may name functions without end. */
  private forgetUnused(entry: FunctionEntry): void {
    if (entry.calls > 0 || entry.running > 0 || entry.policies.length > 0) return;
    const { host } = entry;
    host.functions.delete(entry.name);
    if (host.functions.size > 0) return;
    this.endpoints.delete(host.url);
    if (host.pace === undefined) return;
    this.unused.set(host.url, host);
    for (const [oldest] of this.unused) {
      if (this.unused.size <= REMEMBERED) break;
      this.unused.delete(oldest);
    }
  }
}
