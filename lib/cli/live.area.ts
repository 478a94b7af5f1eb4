import { cutTo, widthOf } from './text.width.js';

/** A terminal, as far as it is needed here. */
export interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** Some terminals do not know their size, or say 0. */
const COLUMNS = 80;
const ROWS = 24;

const ESCAPE = '\u001b';
/** An escape sequence of which the rest is still to come. */
const UNFINISHED = new RegExp(`${ESCAPE}(\\[[\\d;]*)?$`);

/** Lines at the bottom of a terminal that are drawn anew, below what is printed. Each change is written at once. */
export class LiveArea {
  private lines: readonly string[] = [];
  private more = 0;
  /** What was printed without the end of its line: it stands above the lines, and is written again with what follows. */
  private partial = '';
  /** What is on the screen below what was printed for good. */
  private drawn: readonly string[] = [];
  private drawnColumns = 0;

  constructor(private readonly terminal: Terminal) {}

  /** Prints text above the area. */
  print(text: string): void {
    const all = this.partial + text;
    const end = all.lastIndexOf('\n') + 1;
    this.partial = all.slice(end);
    this.write(this.erasure() + all.slice(0, end) + this.drawing());
  }

  /**
   * Shows other lines: as many as there is room for, cut where they are too long.
   *
   * @param more how many there are beside them
   */
  show(lines: readonly string[], more = 0): void {
    this.lines = lines;
    this.more = more;
    const before = { drawn: this.drawn, columns: this.drawnColumns };
    const erasure = this.erasure();
    const drawing = this.drawing();
    if (this.drawnColumns === before.columns && isSame(this.drawn, before.drawn)) return;
    this.write(erasure + drawing);
  }

  /** Leaves the terminal as it would be without the area. */
  end(): void {
    const erasure = this.erasure();
    this.lines = [];
    this.more = 0;
    this.drawn = [];
    this.write(erasure + this.partial);
    this.partial = '';
  }

  private get columns(): number {
    return this.terminal.columns || COLUMNS;
  }

  /** Up to the first line that was drawn, and everything from there on. A terminal that has become narrower has wrapped them. */
  private erasure(): string {
    const rows = this.drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / this.columns)), 0);
    return rows === 0 ? '' : `${ESCAPE}[${rows}A${ESCAPE}[0J`;
  }

  private drawing(): string {
    const room = Math.max(1, Math.floor((this.terminal.rows || ROWS) / 2));
    const shown = this.lines.length + this.more <= room ? this.lines : this.lines.slice(0, room - 1);
    const hidden = this.lines.length - shown.length + this.more;
    const lines = hidden === 0 ? shown : [...shown, `… and ${hidden} more`];
    // A line that is as wide as the terminal leaves the cursor in one row or in the next, as the terminal likes.
    this.drawn = [...this.shownPartial(), ...lines.map((line) => cutTo(this.columns - 1, line))];
    this.drawnColumns = this.columns;
    return this.drawn.map((line) => `${line}\n`).join('');
  }

  /** What a command asks without the end of a line is seen; of what overwrites itself, the last. */
  private shownPartial(): string[] {
    const seen = this.partial
      .slice(this.partial.lastIndexOf('\r', this.partial.length - 2) + 1)
      .replace(UNFINISHED, '');
    if (widthOf(seen) === 0) return [];
    return [seen.includes(ESCAPE) ? `${seen}${ESCAPE}[0m` : seen];
  }

  private write(text: string): void {
    if (text !== '') this.terminal.write(text);
  }
}

const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((line, index) => line === b[index]);
