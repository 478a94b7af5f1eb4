import { Status } from '../errors/index.js';
import type { CallObserver } from '../standalone/index.js';
import type { CallRow, DispatchId, Mutation } from '../scheduler/index.js';

/** A call as a display shows it. */
export interface TreeNode {
  readonly id: DispatchId;
  readonly function: string;
  readonly depth: number;
  readonly createdAt: number;
  readonly children: TreeNode[];
  state: 'pending' | 'suspended' | 'incompatible' | 'succeeded' | 'failed' | 'cancelled';
  /** Failed runs since it last suspended itself. */
  attempt: number;
  finishedAt: number | undefined;
  /** What it failed with. */
  failure: string | undefined;
}

export type TreeEvent =
  | { readonly type: 'created' | 'finished' | 'retried'; readonly node: TreeNode }
  /** A root with all that it called: nothing more happens there. */
  | { readonly type: 'ended'; readonly root: TreeNode };

/** The trees of calls that are under way, from what a store is told. */
export class CallTree implements CallObserver {
  /** Unfinished roots, in the order of creation. */
  readonly roots = new Set<TreeNode>();
  private readonly nodes = new Map<DispatchId, TreeNode>();

  constructor(private readonly tell: (event: TreeEvent) => void) {}

  recovered(calls: readonly CallRow[]): void {
    for (const { header, target, progress } of calls) {
      this.add(header.id, header.parentId, target.function, header.createdAt).state = progress.state;
    }
  }

  committed(mutations: readonly Mutation[]): void {
    for (const mutation of mutations) this.apply(mutation);
  }

  private apply(mutation: Mutation): void {
    switch (mutation.type) {
      case 'create': {
        const { header, target } = mutation;
        this.tell({ type: 'created', node: this.add(header.id, header.parentId, target.function, header.createdAt) });
        break;
      }
      case 'progress':
      case 'replace': {
        const node = this.nodes.get(mutation.id);
        if (node === undefined) break;
        node.state = mutation.progress.state;
        const isRetried = mutation.progress.attempt > node.attempt;
        node.attempt = mutation.progress.attempt;
        if (isRetried) this.tell({ type: 'retried', node });
        break;
      }
      case 'finish': {
        const node = this.nodes.get(mutation.id);
        if (node !== undefined) this.finish(node, mutation);
        break;
      }
      case 'append':
      case 'state':
      case 'purge':
        break;
    }
  }

  private add(id: DispatchId, parentId: DispatchId, name: string, createdAt: number): TreeNode {
    const parent = this.nodes.get(parentId);
    const node: TreeNode = {
      id,
      function: name,
      depth: parent === undefined ? 0 : parent.depth + 1,
      createdAt,
      children: [],
      state: 'pending',
      attempt: 0,
      finishedAt: undefined,
      failure: undefined,
    };
    this.nodes.set(id, node);
    if (parent === undefined) this.roots.add(node);
    else parent.children.push(node);
    return node;
  }

  private finish(node: TreeNode, { finished }: Extract<Mutation, { type: 'finish' }>): void {
    node.state = finished.state;
    node.finishedAt = finished.finishedAt;
    const { error } = finished.result;
    if (finished.state !== 'succeeded') {
      node.failure = error === undefined ? Status[finished.status] : `${error.type}: ${error.message}`;
    }
    this.tell({ type: 'finished', node });
    if (!this.roots.delete(node)) return;
    this.forget(node);
    this.tell({ type: 'ended', root: node });
  }

  private forget(root: TreeNode): void {
    const left = [root];
    for (let node = left.pop(); node !== undefined; node = left.pop()) {
      this.nodes.delete(node.id);
      left.push(...node.children);
    }
  }
}
