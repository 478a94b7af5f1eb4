import type { Registration, SharedStore } from '../store.js';
import { functionKey, type Limits } from './function-entry.js';

/** The other processes that share the store: how many there are, and what they run. As of the last look. */
export class Neighbours {
  /** Those that run calls. */
  count = 0;
  /** Each function, in its versions. */
  private readonly functions = new Map<string, Registration[]>();
  private readonly endpoints = new Set<string>();

  constructor(private readonly store: SharedStore) {}

  /** Looks at them again. What cannot be read stays as it was. */
  async look(): Promise<void> {
    try {
      const [count, registered] = await Promise.all([this.store.others(), this.store.registeredElsewhere()]);
      this.count = count;
      this.functions.clear();
      this.endpoints.clear();
      for (const registration of registered) {
        const key = functionKey({ endpoint: registration.endpoint, name: registration.function });
        this.endpoints.add(registration.endpoint);
        const versions = this.functions.get(key);
        if (versions) versions.push(registration);
        else this.functions.set(key, [registration]);
      }
    } catch {
      return;
    }
  }

  /** Whether one of them has said which functions of the endpoint it has. */
  knows(endpoint: string): boolean {
    return this.endpoints.has(endpoint);
  }

  /** @param version empty: none; undefined: any */
  has(endpoint: string, name: string, version?: string): boolean {
    const versions = this.functions.get(functionKey({ endpoint, name }));
    return versions !== undefined && (version === undefined || versions.some((known) => known.version === version));
  }

  /** The limits that they declare for the function. */
  limitsOf(endpoint: string, name: string): Limits[] {
    const versions = this.functions.get(functionKey({ endpoint, name })) ?? [];
    return versions.map(({ runs, perKey }) => ({ concurrency: runs, perKey }));
  }
}
