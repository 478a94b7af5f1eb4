import type { Timestamp } from '../store.js';

/** Something with a time. It knows its place in the heap, so that changing or removing it costs O(log n). */
export interface Timed {
  /** When it is due; only the heap changes it. */
  at: Timestamp;
  /** Its place in the heap; -1 when it is in none. */
  heapIndex: number;
}

/** A binary heap by time. */
export class TimerHeap<T extends Timed> {
  private readonly items: T[] = [];

  get size(): number {
    return this.items.length;
  }

  peek(): T | undefined {
    return this.items[0];
  }

  /** Adds the item, or moves it to another time. */
  set(item: T, at: Timestamp): void {
    if (item.heapIndex < 0) {
      item.at = at;
      this.items.push(item);
      this.rise(item, this.items.length - 1);
      return;
    }
    const before = item.at;
    item.at = at;
    if (at < before) this.rise(item, item.heapIndex);
    else if (at > before) this.sink(item, item.heapIndex);
  }

  remove(item: T): void {
    const index = item.heapIndex;
    if (index < 0) return;
    item.heapIndex = -1;
    const last = this.items.pop();
    if (last === undefined || last === item) return;
    if (last.at < item.at) this.rise(last, index);
    else this.sink(last, index);
  }

  private rise(item: T, from: number): void {
    let index = from;
    while (index > 0) {
      const up = (index - 1) >> 1;
      const parent = this.items[up];
      if (parent === undefined || parent.at <= item.at) break;
      this.place(parent, index);
      index = up;
    }
    this.place(item, index);
  }

  private sink(item: T, from: number): void {
    let index = from;
    for (;;) {
      const left = this.items[2 * index + 1];
      if (left === undefined) break;
      const right = this.items[2 * index + 2];
      const [child, place] = right !== undefined && right.at < left.at ? [right, 2 * index + 2] : [left, 2 * index + 1];
      if (child.at >= item.at) break;
      this.place(child, index);
      index = place;
    }
    this.place(item, index);
  }

  private place(item: T, index: number): void {
    this.items[index] = item;
    item.heapIndex = index;
  }
}
