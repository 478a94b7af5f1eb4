/** What the clients of the fleet were told, and by which machine. */
export class History {
  /** Roots by their numbers: the ids that were acknowledged for them. */
  readonly acknowledged = new Map<number, Set<string>>();
  /** Calls by their ids: each answer that somebody got, by the machines that gave it. */
  readonly answers = new Map<string, Map<string, Set<number>>>();
  /** Commits that were refused because others had the calls of the process. */
  refusals = 0;
  /** Processes that ended although nobody had killed them. */
  readonly deaths: string[] = [];
  /** All that happened, in order. */
  readonly lines: string[] = [];
  private readonly begun = performance.now();

  /** @returns whether the root was not acknowledged before, by any machine */
  acknowledge(root: number, id: string, machine: number): boolean {
    this.note(machine, `acknowledged ${root} ${id}`);
    const ids = this.acknowledged.get(root);
    this.acknowledged.set(root, new Set(ids).add(id));
    return ids === undefined;
  }

  answer(id: string, value: string, machine: number): void {
    this.note(machine, `result ${id} ${value}`);
    const answers = this.answers.get(id) ?? new Map<string, Set<number>>();
    this.answers.set(id, answers.set(value, new Set(answers.get(value)).add(machine)));
  }

  refuse(machine: number): void {
    this.refusals += 1;
    this.note(machine, 'refused');
  }

  died(machine: number, code: number | null): void {
    this.deaths.push(`the process of machine ${machine} ended by itself, with code ${code}`);
  }

  note(who: number | string, what: string): void {
    this.lines.push(`${((performance.now() - this.begun) / 1_000).toFixed(3)} ${who}: ${what}`);
  }
}
