import { AssertionError } from 'node:assert';

/** How long one scenario may take before it counts as hung, in milliseconds, unless it says so itself. */
const LIMIT = 15_000;

/** Runs scenarios one after the other, prints a line for each, and counts. */
export class Scenarios {
  private passed = 0;
  private failed = 0;

  /** A heading for those that follow. */
  title(text: string): void {
    console.log(`\n${text}`);
  }

  async run(name: string, scenario: () => Promise<unknown>, limit = LIMIT): Promise<void> {
    const start = performance.now();
    try {
      await withinLimit(scenario(), limit);
      this.passed += 1;
      console.log(`ok ${name} (${Math.round(performance.now() - start)} ms)`);
    } catch (error) {
      this.fail(name, error);
    }
  }

  /** Counts what could not even be tried. */
  fail(name: string, error: unknown): void {
    this.failed += 1;
    const detail = error instanceof AssertionError ? error.message : error instanceof Error ? error.stack : error;
    console.log(`FAILED ${name}\n${String(detail).replace(/^/gm, '    ')}`);
  }

  /** Prints the totals; returns the code to exit with. */
  end(): number {
    console.log(`\n${this.passed} passed, ${this.failed} failed`);
    return this.failed === 0 && this.passed > 0 ? 0 : 1;
  }
}

async function withinLimit(scenario: Promise<unknown>, limit: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const isOver = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not end within ${limit} ms`)), limit);
  });
  try {
    await Promise.race([scenario, isOver]);
  } finally {
    clearTimeout(timer);
  }
}
