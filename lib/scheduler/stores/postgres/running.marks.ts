import type { DispatchId } from '../../store.js';
import * as arrays from './arrays.js';
import type { Connection } from './connection.js';
import type { Statements } from './statements.js';

/** Updates that are under way at once: what is marked meanwhile is put together. */
const MAX_UNDER_WAY = 2;

/**
 * Which calls are being run, in the table `running`. A mark is handed to the operating system before the run begins, so
 * that the server gets it even when the process dies at once. Nobody waits for it.
 */
export class RunningMarks {
  /** Calls that have a row of this process, or will have one when what was sent is done. */
  private readonly marked = new Set<DispatchId>();
  /** Calls that have a row from the process that died during their run. */
  private readonly inherited = new Set<DispatchId>();
  private readonly toMark = new Set<DispatchId>();
  private readonly toUnmark = new Set<DispatchId>();
  private underWay = 0;

  /** @param connection undefined while there is none: marks are made up for later */
  constructor(
    private readonly statements: Statements,
    private readonly process: number,
    private readonly connection: () => Connection | undefined,
  ) {}

  update(started: readonly DispatchId[], ended: readonly DispatchId[]): void {
    for (const id of ended) this.unmark(id);
    for (const id of started) this.mark(id);
    this.flush();
  }

  /** Calls whose former process died while it ran them. */
  inherit(ids: readonly DispatchId[]): void {
    for (const id of ids) this.inherited.add(id);
  }

  /** Of these calls, those whose former process died while it ran them, and that have not been run again. */
  inheritedOf(ids: readonly DispatchId[]): DispatchId[] {
    return this.inherited.size === 0 ? [] : ids.filter((id) => this.inherited.has(id));
  }

  /** The commit that says what became of these runs of a former process has removed their marks. */
  settled(ids: readonly DispatchId[]): void {
    for (const id of ids) this.inherited.delete(id);
  }

  /** Nothing runs any more. */
  async clear(connection: Connection): Promise<void> {
    await connection.run(this.statements.markEnded, [this.process, arrays.texts([...this.inherited])]);
    await connection.run(this.statements.unmarkAll, [this.process]);
  }

  flush(): void {
    const connection = this.connection();
    if (connection === undefined || this.underWay >= MAX_UNDER_WAY) return;
    const [ended, started] = [[...this.toUnmark], [...this.toMark]];
    this.toUnmark.clear();
    this.toMark.clear();
    if (ended.length > 0) {
      this.send(connection.run(this.statements.markEnded, [this.process, arrays.texts(ended)]));
    }
    if (started.length > 0) {
      this.send(connection.run(this.statements.markStarted, [this.process, arrays.texts(started)]));
    }
  }

  private mark(id: DispatchId): void {
    this.toUnmark.delete(id);
    this.inherited.delete(id);
    if (this.marked.has(id)) return;
    this.marked.add(id);
    this.toMark.add(id);
  }

  private unmark(id: DispatchId): void {
    const wasInherited = this.inherited.delete(id);
    if (!this.marked.delete(id) && !wasInherited) return;
    if (!this.toMark.delete(id)) this.toUnmark.add(id);
  }

  /** Where it fails, only a count of crashes is at stake. */
  private send(answer: Promise<unknown>): void {
    this.underWay += 1;
    void answer
      .catch(() => undefined)
      .finally(() => {
        this.underWay -= 1;
        this.flush();
      });
  }
}
