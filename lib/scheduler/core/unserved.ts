import type { SharedStore, UnservedSearch } from '../store.js';
import type { Core } from './core.js';
import type { Milliseconds } from './options.js';

/** Between two looks, at least. */
const LOOK_EVERY: Milliseconds = 2_000;
const SEARCH: UnservedSearch = {
  // A process may just be starting again: what waits for less is not worth a line.
  waiting: 2_000,
  // Whoever may dispatch may name functions without end.
  limit: 100,
  count: 1_000,
};

/** Has the log name functions that no process has, and of which calls wait: once, until one has them again. */
export class Unserved {
  private named = new Set<string>();
  private nextLook = 0;

  constructor(
    private readonly core: Core,
    private readonly store: SharedStore,
  ) {}

  /** Looks for them, where that has not been done lately. What cannot be read is looked for the next time. */
  async look(): Promise<void> {
    const { core, store } = this;
    const now = core.clock.now();
    if (now < this.nextLook) return;
    this.nextLook = now + LOOK_EVERY;
    try {
      const found = await store.unserved(core.functions.declaredEndpoints(), SEARCH);
      const former = this.named;
      this.named = new Set(found.map(({ function: name }) => name));
      for (const { function: name, calls } of found) if (!former.has(name)) this.name(name, calls);
    } catch {
      return;
    }
  }

  private name(fn: string, calls: number): void {
    const count = calls < SEARCH.count ? String(calls) : `${calls} or more`;
    this.core.log.warn(
      `No process has the function ${fn}, and calls of it wait (${count}): start an application on the store ` +
        `${this.store.name} that has it, or cancel them. They are listed by the function's name.`,
    );
  }
}
