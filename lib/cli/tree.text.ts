import ms from 'ms';
import type { TreeEvent, TreeNode } from './call.tree.js';

const SIGNS: Readonly<Record<TreeNode['state'], string>> = {
  pending: '●',
  suspended: '…',
  incompatible: '‖',
  succeeded: '✓',
  failed: '✗',
  cancelled: '⊘',
};
/** Calls of one parent that are shown. */
const CHILDREN = 10;

/** One event as a line; undefined for what is no line. */
export function eventLine(event: TreeEvent): string | undefined {
  switch (event.type) {
    case 'created':
      return `${indent(event.node)}→ ${event.node.function} ${event.node.id}`;
    case 'retried':
      return `${indent(event.node)}↻ ${event.node.function} ${event.node.id} failed, attempt ${event.node.attempt}; it is made again`;
    case 'finished':
      return indent(event.node) + nodeText(event.node, event.node.finishedAt ?? 0);
    case 'ended':
      return undefined;
  }
}

/** A tree as lines, the parent before its children. */
export function treeLines(node: TreeNode, now: number, prefix = ''): string[] {
  const shown = node.children.slice(0, CHILDREN);
  const hidden = node.children.length - shown.length;
  const below = shown.flatMap((child, index) => {
    const isLast = index === shown.length - 1 && hidden === 0;
    const [head = '', ...rest] = treeLines(child, now, `${prefix}${isLast ? '   ' : '│  '}`);
    return [`${prefix}${isLast ? '└─ ' : '├─ '}${head}`, ...rest];
  });
  const more = hidden === 0 ? [] : [`${prefix}└─ and ${hidden} more`];
  return [nodeText(node, now), ...below, ...more];
}

function nodeText(
  { state, function: name, id, createdAt, finishedAt, failure, attempt }: TreeNode,
  now: number,
): string {
  const time = ms(Math.max(0, (finishedAt ?? now) - createdAt));
  const why = failure ?? (attempt > 0 && finishedAt === undefined ? `attempt ${attempt + 1}` : '');
  return `${SIGNS[state]} ${name} ${id} ${time}${why === '' ? '' : ` ${why}`}`;
}

const indent = ({ depth }: TreeNode): string => '  '.repeat(depth);
