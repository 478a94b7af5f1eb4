import type { SharedStore } from '../store.js';

/** The other processes that share the store: how many there are, and what they run. As of the last look. */
export class Neighbours {
  /** Those that run calls. */
  count = 0;
  private readonly functions = new Set<string>();
  private readonly endpoints = new Set<string>();

  constructor(private readonly store: SharedStore) {}

  /** Looks at them again. What cannot be read stays as it was. */
  async look(): Promise<void> {
    try {
      const [count, registered] = await Promise.all([this.store.others(), this.store.registeredElsewhere()]);
      this.count = count;
      this.functions.clear();
      this.endpoints.clear();
      for (const { endpoint, function: name } of registered) {
        this.endpoints.add(endpoint);
        this.functions.add(nameOf(endpoint, name));
      }
    } catch {
      return;
    }
  }

  /** Whether one of them has said which functions of the endpoint it has. */
  knows(endpoint: string): boolean {
    return this.endpoints.has(endpoint);
  }

  has(endpoint: string, name: string): boolean {
    return this.functions.has(nameOf(endpoint, name));
  }
}

const nameOf = (endpoint: string, name: string): string => `${name} ${endpoint}`;
