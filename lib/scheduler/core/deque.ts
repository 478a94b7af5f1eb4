/** A queue on an array: adds behind, takes from the front, both in constant time. */
export class Deque<T> {
  private items: T[] = [];
  private head = 0;

  get size(): number {
    return this.items.length - this.head;
  }

  push(item: T): void {
    this.items.push(item);
  }

  /** The item at that place, counted from the front. */
  at(index: number): T | undefined {
    return this.items[this.head + index];
  }

  shift(): T | undefined {
    if (this.head === this.items.length) return undefined;
    const item = this.items[this.head];
    this.drop(1);
    return item;
  }

  /** Takes that many items off the front. */
  drop(count: number): void {
    this.head = Math.min(this.head + count, this.items.length);
    // What was taken is let go once it is half of the array, so that each item is moved at most once on average.
    if (this.head === this.items.length) {
      this.items.length = 0;
      this.head = 0;
    } else if (this.head * 2 >= this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
  }

  clear(): void {
    this.items = [];
    this.head = 0;
  }
}
