import type { SharedStore } from '../store.js';

/** The other processes that share the store: how many there are, and what they run. As of the last look. */
export class Neighbours {
  /** Those that run calls. */
  count = 0;
  /** The versions of each function. */
  private readonly functions = new Map<string, Set<string>>();
  private readonly endpoints = new Set<string>();

  constructor(private readonly store: SharedStore) {}

  /** Looks at them again. What cannot be read stays as it was. */
  async look(): Promise<void> {
    try {
      const [count, registered] = await Promise.all([this.store.others(), this.store.registeredElsewhere()]);
      this.count = count;
      this.functions.clear();
      this.endpoints.clear();
      for (const { endpoint, function: name, version } of registered) {
        this.endpoints.add(endpoint);
        const versions = this.functions.get(nameOf(endpoint, name));
        if (versions) versions.add(version);
        else this.functions.set(nameOf(endpoint, name), new Set([version]));
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
    const versions = this.functions.get(nameOf(endpoint, name));
    return versions !== undefined && (version === undefined || versions.has(version));
  }
}

const nameOf = (endpoint: string, name: string): string => `${name} ${endpoint}`;
