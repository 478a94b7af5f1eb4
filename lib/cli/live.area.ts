/** A terminal, as far as it is needed here. */
export interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** Lines at the bottom of a terminal that are drawn anew, below what is printed. */
export class LiveArea {
  private drawn = 0;
  private lines: readonly string[] = [];
  /** What came without the end of its line. */
  private partial = '';

  constructor(private readonly terminal: Terminal) {}

  /** Prints text above the area: whole lines at once, the rest when it is complete. */
  print(text: string): void {
    const end = text.lastIndexOf('\n') + 1;
    if (end === 0) {
      this.partial += text;
      return;
    }
    this.erase();
    this.terminal.write(this.partial + text.slice(0, end));
    this.partial = text.slice(end);
    this.draw();
  }

  /** Shows other lines: as many as there is room for, cut where they are too long. */
  show(lines: readonly string[]): void {
    this.lines = lines;
    this.erase();
    this.draw();
  }

  /** Leaves the terminal as it would be without the area. */
  end(): void {
    this.erase();
    this.terminal.write(this.partial);
    this.partial = '';
    this.lines = [];
  }

  private erase(): void {
    // Up to the area's first line, and everything from there on.
    if (this.drawn > 0) this.terminal.write(`\u001b[${this.drawn}A\u001b[0J`);
    this.drawn = 0;
  }

  private draw(): void {
    const { columns = 80, rows = 24 } = this.terminal;
    const room = Math.max(1, Math.floor(rows / 2));
    const shown = this.lines.slice(0, room).map((line) => line.slice(0, columns - 1));
    if (shown.length > 0) this.terminal.write(`${shown.join('\n')}\n`);
    this.drawn = shown.length;
  }
}
