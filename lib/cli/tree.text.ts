import ms from 'ms';
import type { TreeEvent, TreeNode } from './call.tree.js';
import { oneLine } from './text.width.js';

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
      return `${indent(event.node)}→ ${oneLine(event.node.function)} ${event.node.id}`;
    case 'retried':
      return `${indent(event.node)}↻ ${oneLine(event.node.function)} ${event.node.id} failed, attempt ${event.node.attempt}; it is made again`;
    case 'finished':
      return indent(event.node) + nodeText(event.node, event.node.finishedAt ?? 0);
    case 'ended':
      return undefined;
  }
}

/** A tree as lines, the parent before its children. Of many children those are shown that are under way. */
export function treeLines(node: TreeNode, now: number, prefix = ''): string[] {
  const { shown, hidden } = parted(node.children);
  const below = shown.flatMap((child, index) => {
    const isLast = index === shown.length - 1 && hidden.length === 0;
    const [head = '', ...rest] = treeLines(child, now, `${prefix}${isLast ? '   ' : '│  '}`);
    return [`${prefix}${isLast ? '└─ ' : '├─ '}${head}`, ...rest];
  });
  const more = hidden.length === 0 ? [] : [`${prefix}└─ and ${countsText(hidden)}`];
  return [nodeText(node, now), ...below, ...more];
}

function parted(children: readonly TreeNode[]): { shown: readonly TreeNode[]; hidden: readonly TreeNode[] } {
  if (children.length <= CHILDREN) return { shown: children, hidden: [] };
  const chosen = new Set(children.filter(isUnderWay).slice(0, CHILDREN));
  for (const child of children) {
    if (chosen.size === CHILDREN) break;
    chosen.add(child);
  }
  return {
    shown: children.filter((child) => chosen.has(child)),
    hidden: children.filter((child) => !chosen.has(child)),
  };
}

function countsText(hidden: readonly TreeNode[]): string {
  const underWay = hidden.filter(isUnderWay).length;
  const failed = hidden.filter(({ state }) => state === 'failed').length;
  return [
    `${hidden.length} more`,
    ...(underWay === 0 ? [] : [`${underWay} under way`]),
    ...(failed === 0 ? [] : [`${failed} failed`]),
  ].join(', ');
}

const isUnderWay = ({ finishedAt }: TreeNode): boolean => finishedAt === undefined;

function nodeText(
  { state, function: name, id, createdAt, finishedAt, failure, attempt }: TreeNode,
  now: number,
): string {
  const time = ms(Math.max(0, (finishedAt ?? now) - createdAt));
  const why = failure ?? (attempt > 0 && finishedAt === undefined ? `attempt ${attempt + 1}` : '');
  return oneLine(`${SIGNS[state]} ${name} ${id} ${time}${why === '' ? '' : ` ${why}`}`);
}

const indent = ({ depth }: TreeNode): string => '  '.repeat(depth);
