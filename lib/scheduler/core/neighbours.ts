import type { SharedStore } from '../store.js';

/** The other processes that share the store: how many there are, and what they run. As of the last look. */
export class Neighbours {
  /** Those that run calls. */
  count = 0;
  /** Versions by function. */
  private readonly functions = new Map<string, Set<string>>();

  constructor(private readonly store: SharedStore) {}

  /** Looks at them again. What cannot be read stays as it was. */
  async look(): Promise<void> {
    try {
      const [count, registered] = await Promise.all([this.store.others(), this.store.registeredElsewhere()]);
      this.count = count;
      this.functions.clear();
      for (const { endpoint, function: name, version } of registered) {
        const versions = this.functions.get(nameOf(endpoint, name));
        if (versions) versions.add(version);
        else this.functions.set(nameOf(endpoint, name), new Set([version]));
      }
    } catch {
      return;
    }
  }

  has(endpoint: string, name: string): boolean {
    return this.functions.has(nameOf(endpoint, name));
  }

  hasVersion(endpoint: string, name: string, version: string): boolean {
    return this.functions.get(nameOf(endpoint, name))?.has(version) ?? false;
  }
}

const nameOf = (endpoint: string, name: string): string => `${name} ${endpoint}`;
