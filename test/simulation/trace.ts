import type { DispatchId } from '../../lib/scheduler/index.js';

interface Entry {
  readonly time: number;
  readonly what: string;
  readonly id: DispatchId;
  readonly detail: string | number;
}

const LATEST = 25;
const OF_THE_CALL = 40;

/** Something that must never happen has happened. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** What happened in a simulation, for whoever looks into a seed that fails; and what must not have happened. */
export class Trace {
  /** The first violation; those after it mostly follow from it. */
  violation: { readonly message: string; readonly ids: readonly DispatchId[]; readonly at: number } | undefined;
  private readonly entries: Entry[] = [];
  /** A number that two runs share only when the same happened in both. */
  fingerprint = 0;

  constructor(
    private readonly now: () => number,
    /** What a call is, in a word. */
    private readonly describe: (id: DispatchId) => string,
  ) {}

  get length(): number {
    return this.entries.length;
  }

  note(what: string, id: DispatchId = '', detail: string | number = ''): void {
    const time = this.now();
    this.entries.push({ time, what, id, detail });
    this.fingerprint = Math.imul(this.fingerprint ^ Math.round(time * 1000) ^ hashOf(what) ^ hashOf(id), 0x01000193);
  }

  violate(message: string, ...ids: DispatchId[]): void {
    this.violation ??= { message, ids, at: this.entries.length };
  }

  check(holds: boolean, message: string, ...ids: DispatchId[]): void {
    if (!holds) this.violate(message, ...ids);
  }

  /**
   * The violation, what led to it, and how to see it again.
   * @param option of the command that shows it, with a space behind it
   */
  report(seed: number, option = ''): Violation {
    const { message = 'nothing is wrong', ids = [], at = this.entries.length } = this.violation ?? {};
    const before = this.entries.slice(0, at);
    const ofCall = before.filter((entry) => ids.includes(entry.id)).slice(-OF_THE_CALL);
    const latest = before.slice(-LATEST);
    const lines = [...new Set([...ofCall, ...latest])].sort((a, b) => before.indexOf(a) - before.indexOf(b));
    return new Violation(
      [
        `seed ${seed}: ${message} (${ids.map((id) => this.name(id)).join(', ')})`,
        ...lines.map((entry) => this.line(entry, ids)),
        `Again: npm run simulate -- ${option}--seed ${seed}`,
      ].join('\n'),
    );
  }

  /** All of it, line by line. */
  *lines(): Iterable<string> {
    for (const entry of this.entries) yield this.line(entry, []);
  }

  private line({ time, what, id, detail }: Entry, marked: readonly DispatchId[]): string {
    const sign = marked.includes(id) ? '>' : ' ';
    return `${sign} ${time.toFixed(2).padStart(11)}  ${what.padEnd(18)} ${id === '' ? '' : this.name(id)} ${detail}`;
  }

  private name(id: DispatchId): string {
    return `${this.describe(id)}#${id.slice(-4)}`;
  }
}

function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash;
}
