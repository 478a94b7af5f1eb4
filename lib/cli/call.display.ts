import { CallTree, type TreeEvent } from './call.tree.js';
import { LiveArea, type Terminal } from './live.area.js';
import type { Writable } from './output.js';
import { eventLine, treeLines } from './tree.text.js';

/** How often a live display is drawn anew, in milliseconds. */
const REFRESH = 100;
/** No terminal has room for more. */
const LINES = 500;

/** Shows what becomes of calls while a command runs. */
export interface CallDisplay {
  readonly tree: CallTree;
  /** Prints what the command has printed. */
  print(text: string): void;
  end(): void;
}

/** A line for each event, for logs and pipes. */
export function lineDisplay(out: Writable): CallDisplay {
  const tell = (event: TreeEvent): void => {
    const line = eventLine(event);
    if (line !== undefined) out.write(`${line}\n`);
  };
  return { tree: new CallTree(tell), print: (text) => void out.write(text), end: () => undefined };
}

/** The trees that are under way at the bottom of the terminal; those that have ended above, for good. */
export function liveDisplay(terminal: Terminal, now: () => number = Date.now): CallDisplay {
  const area = new LiveArea(terminal);
  const tree = new CallTree((event) => {
    if (event.type === 'ended') area.print(`${treeLines(event.root, now()).join('\n')}\n`);
  });
  const draw = (): void => {
    const lines: string[] = [];
    let left = tree.roots.size;
    for (const root of tree.roots) {
      if (lines.length >= LINES) break;
      lines.push(...treeLines(root, now()));
      left -= 1;
    }
    area.show(lines, left);
  };
  const refresh = setInterval(draw, REFRESH);
  return {
    tree,
    print: (text) => area.print(text),
    end: () => {
      clearInterval(refresh);
      area.end();
    },
  };
}
