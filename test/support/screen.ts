import { Unicode11Addon } from '@xterm/addon-unicode11';
import xterm from '@xterm/headless';

/** A terminal without a window: what it shows after all that was written to it. */
export class Screen {
  private readonly terminal: xterm.Terminal;
  private written = Promise.resolve();

  /** @param lineFeeds a line feed begins a new line, as it does behind the driver of a terminal */
  constructor(columns: number, rows: number, { lineFeeds = true } = {}) {
    this.terminal = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true, convertEol: lineFeeds });
    this.terminal.loadAddon(new Unicode11Addon());
    this.terminal.unicode.activeVersion = '11';
  }

  get columns(): number {
    return this.terminal.cols;
  }

  get rows(): number {
    return this.terminal.rows;
  }

  write(text: string): void {
    this.written = new Promise((resolve) => this.terminal.write(text, resolve));
  }

  resize(columns: number, rows: number): void {
    this.terminal.resize(columns, rows);
  }

  /** All lines, those that have left the screen at its top included, without empty ones at the end. */
  async lines(): Promise<string[]> {
    await this.written;
    const { active } = this.terminal.buffer;
    const lines = Array.from({ length: active.length }, (_, n) => active.getLine(n)?.translateToString(true) ?? '');
    while (lines.at(-1) === '') lines.pop();
    return lines;
  }

  /** Whether a line is one that did not fit, and went on in the next row. */
  async wraps(): Promise<boolean> {
    await this.written;
    const { active } = this.terminal.buffer;
    return Array.from({ length: active.length }, (_, n) => active.getLine(n)?.isWrapped).includes(true);
  }
}
